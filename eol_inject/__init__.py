"""End-of-line token injection: token in, read back, matching label out."""

__version__ = "0.1.0"
