"""Tables of lesions and results: columns, cells and rows, in CSV or Parquet."""
