"""A base that can be read from anywhere over a network: zstd frames, an index, a block map."""
