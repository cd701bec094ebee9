//! The server over real sockets, in front of two toy services.

mod aws_cli;
mod raw;
mod signed;
mod toy;
