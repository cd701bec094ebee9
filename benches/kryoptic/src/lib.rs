//! Nothing of its own: building it builds its dependency, whose cdylib is loaded by the benches.
