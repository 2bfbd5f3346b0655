//! The control socket of an engine, as its clients see it.

mod hall;
mod smoke;
