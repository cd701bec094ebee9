//! NIST's vectors, from PyPI's cryptography-vectors.
