//! The control socket of an engine, as its clients see it: friendly, rude, many, and those of somebody else.

mod crowd;
mod documented;
mod doors;
mod events_verb;
mod hall;
mod handing_over;
mod rude;
mod smoke;
