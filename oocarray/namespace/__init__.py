"""The functions of the public namespace, by NumPy's, dask's and the Array API's names; lazy."""
