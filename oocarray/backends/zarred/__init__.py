"""What users of zarr-python write by hand, to compare with; no plan of ours is fused in it."""
