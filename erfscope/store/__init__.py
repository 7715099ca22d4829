"""Maps on disk, in HDF5 that h5py, xarray, h5web and silx open as it is."""
