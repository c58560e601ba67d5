"""The suite by dask's processes: the same code as its threads, on a `LocalCluster` kept warm."""

from __future__ import annotations

from typing import Any

import distributed

from .dask_threads import DaskThreads

library: Any = distributed


class DaskDistributed(DaskThreads):
    def _start(self) -> None:
        self._cluster = library.LocalCluster(
            n_workers=self.workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
            # What its nanny counts includes the loaded programs, which are not of the memory.
            memory_limit=self.memory // self.workers + (192 << 20),
        )
        self._client = library.Client(self._cluster)

    def close(self) -> None:
        self._client.close()
        self._cluster.close()


RIVAL = DaskDistributed
