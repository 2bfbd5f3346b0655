//! The machine as a whole. CPU, memory and load come from `sysinfo`. Disks and network come from the kernel's counters,
//! because `sysinfo` would read a file for each figure of each card. Space is read only of the watched file systems,
//! because a list of all mounts may hang on a dead network share.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sysinfo::System;

use super::procfs::ProcFile;
use super::quick_reader::QuickReader;
use super::sensors::Sensors;
use crate::resources::MachineSample;

/// The kernel's unit in this file, whatever the sector size of the disk.
const SECTOR_BYTES: u64 = 512;

/// Reads the machine.
pub(super) struct MachineReader {
    system: System,
    sensors: Sensors,
    quick_reader: Arc<QuickReader>,
    diskstats: ProcFile,
    net_dev: ProcFile,
    disks: Hardware,
    cards: Hardware,
    rates: Rates,
    buffer: Vec<u8>,
}

impl MachineReader {
    /// Makes ready to read. Memory, space and power come from `quick_reader`.
    ///
    /// # Errors
    /// When this platform is not supported.
    pub(super) fn new(quick_reader: Arc<QuickReader>) -> Result<Self, sysinfo::Error> {
        let mut system = System::new()?;
        // The first reading: usage is measured between two.
        system.refresh_cpu_usage();
        Ok(Self {
            system,
            sensors: Sensors::new(),
            quick_reader,
            diskstats: ProcFile::new("/proc/diskstats"),
            net_dev: ProcFile::new("/proc/net/dev"),
            disks: Hardware::below("/sys/block"),
            cards: Hardware::below("/sys/class/net"),
            rates: Rates::default(),
            buffer: vec![0; 4096],
        })
    }

    pub(super) fn n_cpus(&self) -> usize {
        self.system.cpus().len().max(1)
    }

    /// The machine now.
    pub(super) fn sample(&mut self, at: DateTime<Utc>, awake_ms: u64) -> MachineSample {
        let system = &mut self.system;
        system.refresh_cpu_usage();
        let share = |percent: f32| if percent.is_finite() { (percent / 100.0).clamp(0.0, 1.0) } else { 0.0 };
        let (read, written) = parse_diskstats(self.diskstats.read(&mut self.buffer), &mut self.disks);
        let (received, sent) = parse_net_dev(self.net_dev.read(&mut self.buffer), &mut self.cards);
        let rates = self.rates.since_last(awake_ms, [read, written, received, sent]);
        let load = System::load_average();
        let sensors = self.sensors.read(awake_ms, || self.quick_reader.power());
        let mut sample = MachineSample {
            at,
            cpu_fraction: f64::from(share(system.global_cpu_usage())),
            cores: system.cpus().iter().map(|cpu| share(cpu.usage())).collect(),
            disk_read_rate: rates[0],
            disk_write_rate: rates[1],
            network_receive_rate: rates[2],
            network_send_rate: rates[3],
            load_average: load.map_or([0.0; 3], |load| [load.one, load.five, load.fifteen]),
            temperature_celsius: sensors.temperature_celsius,
            power: sensors.power,
            ..MachineSample::default()
        };
        self.quick_reader.add_memory(system, &mut sample);
        self.quick_reader.add_space(&mut sample);
        sample
    }
}

/// Tells real devices from virtual ones, whose traffic would count twice.
struct Hardware {
    folder: &'static str,
    known: HashMap<String, Kind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Real,
    /// A loop, a bridge, a tunnel.
    Virtual,
    /// Not a device of its own: a partition, say.
    None,
}

impl Hardware {
    fn below(folder: &'static str) -> Self {
        Self { folder, known: HashMap::new() }
    }

    fn kind(&mut self, name: &str) -> Kind {
        if let Some(kind) = self.known.get(name) {
            return *kind;
        }
        let kind = match std::fs::read_link(Path::new(self.folder).join(name)) {
            Ok(target) if target.components().any(|part| part.as_os_str() == "virtual") => Kind::Virtual,
            Ok(_) => Kind::Real,
            Err(_) => Kind::None,
        };
        self.known.insert(name.to_owned(), kind);
        kind
    }
}

/// Bytes read from and written to all real disks since boot.
fn parse_diskstats(text: &[u8], disks: &mut Hardware) -> (u64, u64) {
    let text = std::str::from_utf8(text).unwrap_or_default();
    let mut sum = (0, 0);
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace().skip(2);
        let Some(name) = fields.next() else { continue };
        let mut number = |skipped: usize| fields.nth(skipped).and_then(|field| field.parse::<u64>().ok());
        let (Some(read), Some(written)) = (number(2), number(3)) else { continue };
        if disks.kind(name) == Kind::Real {
            sum = (sum.0 + read * SECTOR_BYTES, sum.1 + written * SECTOR_BYTES);
        }
    }
    sum
}

/// Bytes received and sent over all real cards since boot. Where there is none (in a container), over all but the
/// loopback.
fn parse_net_dev(text: &[u8], cards: &mut Hardware) -> (u64, u64) {
    let text = std::str::from_utf8(text).unwrap_or_default();
    let (mut real, mut others) = (None, (0, 0));
    for line in text.lines() {
        let Some((name, numbers)) = line.split_once(':') else { continue };
        let name = name.trim();
        let mut fields = numbers.split_ascii_whitespace();
        let mut number = |skipped: usize| fields.nth(skipped).and_then(|field| field.parse::<u64>().ok());
        let (Some(received), Some(sent)) = (number(0), number(7)) else { continue };
        let sum = match cards.kind(name) {
            Kind::Real => real.get_or_insert((0, 0)),
            Kind::Virtual | Kind::None if name != "lo" => &mut others,
            Kind::Virtual | Kind::None => continue,
        };
        *sum = (sum.0 + received, sum.1 + sent);
    }
    real.unwrap_or(others)
}

/// Turns counters into rates.
#[derive(Debug, Default)]
struct Rates {
    last: Option<(u64, [u64; 4])>,
}

impl Rates {
    /// The growth of each counter per second of awake time. A counter that has fallen, because a device is gone, gives
    /// 0.
    fn since_last(&mut self, awake_ms: u64, counters: [u64; 4]) -> [f64; 4] {
        let Some((before_ms, before)) = self.last.replace((awake_ms, counters)) else { return [0.0; 4] };
        let elapsed_ms = awake_ms.saturating_sub(before_ms);
        if elapsed_ms == 0 {
            return [0.0; 4];
        }
        std::array::from_fn(|i| counters[i].saturating_sub(before[i]) as f64 * 1000.0 / elapsed_ms as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hardware(known: &[(&str, Kind)]) -> Hardware {
        let known = known.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
        Hardware { folder: "/nowhere", known }
    }

    #[test]
    fn real_disks_count_and_what_stands_on_them_does_not() {
        let text = b" 253 0 vda 100 1 2000 9 50 1 4000 9 0 9 9 0 0 0 0 9 9\n 253 1 vda1 100 1 2000 9 50 1 4000 9 0 9 9\n \
            252 0 dm-0 100 1 2000 9 50 1 4000 9 0 9 9\n torn\n";
        let mut disks = hardware(&[("vda", Kind::Real), ("dm-0", Kind::Virtual)]);
        assert_eq!(parse_diskstats(text, &mut disks), (2000 * 512, 4000 * 512));
        assert_eq!(parse_diskstats(b"", &mut disks), (0, 0));
    }

    #[test]
    fn real_cards_count_and_without_one_all_but_the_loopback() {
        let text = b"Inter-| Receive | Transmit\n face |bytes packets|bytes\n    lo: 7 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n  \
            eth0: 100 1 0 0 0 0 0 0 200 1 0 0 0 0 0 0\n  tun0: 50 1 0 0 0 0 0 0 60 1 0 0 0 0 0 0\n";
        assert_eq!(parse_net_dev(text, &mut hardware(&[("eth0", Kind::Real)])), (100, 200));
        let container = [("lo", Kind::Virtual), ("eth0", Kind::Virtual), ("tun0", Kind::Virtual)];
        assert_eq!(parse_net_dev(text, &mut hardware(&container)), (150, 260));
    }

    #[test]
    fn a_rate_is_over_awake_time_and_never_absurd() {
        let mut rates = Rates::default();
        assert_eq!(rates.since_last(1000, [5, 5, 5, 5]), [0.0; 4]);
        assert_eq!(rates.since_last(1500, [15, 5, 0, 6]), [20.0, 0.0, 0.0, 2.0]);
        assert_eq!(rates.since_last(1500, [99, 99, 99, 99]), [0.0; 4]);
        assert_eq!(rates.since_last(500, [199, 199, 199, 199]), [0.0; 4]);
    }
}
