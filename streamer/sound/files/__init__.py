"""Sound files of many kinds, whole and damaged, as blocks of samples."""
