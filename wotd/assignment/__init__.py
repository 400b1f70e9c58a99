"""Semantic IDs for more rows than one would hold, or wait for: whole folders, in stores too, on one machine or on many.

======================== ==============================================================================
``batches``, ``columns`` a table in, the same table with IDs out: the one way in which rows get them
``inputs``, ``vectors``  files of texts and vectors as tables of so many rows, from any piece on
``row_groups``           Parquet from any row on, without reading a row group again for each part of it
``shards``, ``finished`` what a job consists of and how one shard is done; what of it is there already
``local``, ``on_ray``    who does the shards
======================== ==============================================================================
"""
