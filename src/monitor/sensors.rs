//! Temperature and batteries: they change slowly and may be slow to read. They are read every ten seconds, whatever the
//! interval of samples.

use std::fs;
use std::path::{Path, PathBuf};

use sysinfo::Components;

use crate::resources::Power;

/// The time from one reading to the next.
const EVERY_MS: u64 = 10_000;

/// Words in the names of CPU sensors.
const CPU_SENSORS: [&str; 5] = ["coretemp", "k10temp", "cpu", "package", "tctl"];

/// One reading of the sensors.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct SensorReading {
    pub(super) temperature_celsius: Option<f64>,
    pub(super) power: Option<Power>,
}

pub(super) struct Sensors {
    components: Option<Components>,
    last: Option<(u64, SensorReading)>,
}

impl Sensors {
    pub(super) fn new() -> Self {
        Self { components: Components::new_with_refreshed_list().ok(), last: None }
    }

    /// The last reading, or a new one when that is too old. `power` is called only for a new one.
    pub(super) fn read(&mut self, awake_ms: u64, power: impl FnOnce() -> Option<Power>) -> SensorReading {
        if let Some((read_ms, reading)) = self.last
            && awake_ms.saturating_sub(read_ms) < EVERY_MS
        {
            return reading;
        }
        let temperatures = self.components.iter_mut().flat_map(|components| {
            components.refresh(false);
            components.iter().filter_map(|c| Some((c.label(), f64::from(c.temperature()?))))
        });
        let reading = SensorReading { temperature_celsius: hottest(temperatures), power: power() };
        self.last = Some((awake_ms, reading));
        reading
    }
}

/// The hottest sensor of the CPU, else of all. A value that no machine survives is ignored.
fn hottest<'a>(sensors: impl Iterator<Item = (&'a str, f64)>) -> Option<f64> {
    let (mut of_cpu, mut of_all) = (None, None);
    for (label, celsius) in sensors.filter(|(_, celsius)| (-60.0..150.0).contains(celsius)) {
        let hotter = |known: Option<f64>| Some(known.map_or(celsius, |known| known.max(celsius)));
        let label = label.to_ascii_lowercase();
        if CPU_SENSORS.iter().any(|word| label.contains(word)) {
            of_cpu = hotter(of_cpu);
        }
        of_all = hotter(of_all);
    }
    of_cpu.or(of_all)
}

/// The state of the machine's own batteries (not those of a mouse), from the kernel's list in this folder.
pub(super) fn power(supplies: &Path) -> Option<Power> {
    let read = |supply: &Path, name: &str| {
        fs::read_to_string(supply.join(name)).map(|text| text.trim().to_owned()).unwrap_or_default()
    };
    let (mut charge, mut n_batteries, mut is_discharging, mut has_mains) = (0.0, 0_u32, false, false);
    for supply in fs::read_dir(supplies).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let supply: PathBuf = supply;
        match read(&supply, "type").as_str() {
            "Mains" => has_mains |= read(&supply, "online") == "1",
            "Battery" if read(&supply, "scope") != "Device" => {
                if let Ok(percent) = read(&supply, "capacity").parse::<f64>() {
                    charge += (percent / 100.0).clamp(0.0, 1.0);
                    n_batteries += 1;
                }
                is_discharging |= read(&supply, "status") == "Discharging";
            }
            _ => {}
        }
    }
    (n_batteries > 0).then(|| Power {
        battery_fraction: charge / f64::from(n_batteries),
        on_battery: is_discharging && !has_mains,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_s_sensor_comes_first_and_a_broken_sensor_is_ignored() {
        assert_eq!(hottest([("nvme", 70.0), ("coretemp Package id 0", 55.0)].into_iter()), Some(55.0));
        assert_eq!(hottest([("nvme", 70.0), ("acpitz", 41.0)].into_iter()), Some(70.0));
        assert_eq!(hottest([("coretemp", 6553.5), ("acpitz", f64::NAN)].into_iter()), None);
    }

    #[test]
    fn a_laptop_lives_on_its_battery_when_the_mains_are_gone() {
        let dir = tempfile::tempdir().unwrap();
        let read = |supply: &str, name: &str, text: &str| {
            fs::create_dir_all(dir.path().join(supply)).unwrap();
            fs::write(dir.path().join(supply).join(name), format!("{text}\n")).unwrap();
        };
        assert_eq!(power(dir.path()), None);
        read("hidpp_battery_0", "type", "Battery");
        read("hidpp_battery_0", "scope", "Device");
        read("hidpp_battery_0", "capacity", "5");
        assert_eq!(power(dir.path()), None);
        read("BAT0", "type", "Battery");
        read("BAT0", "capacity", "80");
        read("BAT0", "status", "Discharging");
        read("AC", "type", "Mains");
        read("AC", "online", "0");
        assert_eq!(power(dir.path()), Some(Power { battery_fraction: 0.8, on_battery: true }));
        read("AC", "online", "1");
        assert_eq!(power(dir.path()), Some(Power { battery_fraction: 0.8, on_battery: false }));
        read("BAT0", "capacity", "full of it");
        assert_eq!(power(dir.path()), None);
        assert_eq!(power(&dir.path().join("nowhere")), None);
    }
}
