//! When jobs are due, held against real clocks, against another reading of cron, and against itself.

mod croner;
mod crontabs;
mod policies;
mod zones;
