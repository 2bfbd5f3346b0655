//! What changes slowly and may be slow to read: temperature and batteries. Read every ten seconds, whatever the pace.

use std::fs;
use std::path::{Path, PathBuf};

use sysinfo::Components;

use crate::resources::Power;

/// From one reading to the next.
const EVERY_MS: u64 = 10_000;

/// Words in the name of a sensor of the CPU.
const CPU_SENSORS: [&str; 5] = ["coretemp", "k10temp", "cpu", "package", "tctl"];

/// What they said last.
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

    /// What they say, read anew when that was long ago; so is `power`.
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

/// The hottest sensor of the CPU, else of all. What no machine survives is no temperature.
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

/// The batteries of the machine itself, not those of a mouse, as the kernel lists them in this folder.
pub(super) fn power(supplies: &Path) -> Option<Power> {
    let says = |supply: &Path, name: &str| {
        fs::read_to_string(supply.join(name)).map(|text| text.trim().to_owned()).unwrap_or_default()
    };
    let (mut charge, mut n_batteries, mut is_discharging, mut has_mains) = (0.0, 0_u32, false, false);
    for supply in fs::read_dir(supplies).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let supply: PathBuf = supply;
        match says(&supply, "type").as_str() {
            "Mains" => has_mains |= says(&supply, "online") == "1",
            "Battery" if says(&supply, "scope") != "Device" => {
                if let Ok(percent) = says(&supply, "capacity").parse::<f64>() {
                    charge += (percent / 100.0).clamp(0.0, 1.0);
                    n_batteries += 1;
                }
                is_discharging |= says(&supply, "status") == "Discharging";
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
    fn the_cpu_is_asked_first_and_a_broken_sensor_is_not_believed() {
        assert_eq!(hottest([("nvme", 70.0), ("coretemp Package id 0", 55.0)].into_iter()), Some(55.0));
        assert_eq!(hottest([("nvme", 70.0), ("acpitz", 41.0)].into_iter()), Some(70.0));
        assert_eq!(hottest([("coretemp", 6553.5), ("acpitz", f64::NAN)].into_iter()), None);
    }

    #[test]
    fn a_laptop_lives_on_its_battery_when_the_mains_are_gone() {
        let dir = tempfile::tempdir().unwrap();
        let says = |supply: &str, name: &str, text: &str| {
            fs::create_dir_all(dir.path().join(supply)).unwrap();
            fs::write(dir.path().join(supply).join(name), format!("{text}\n")).unwrap();
        };
        assert_eq!(power(dir.path()), None);
        says("hidpp_battery_0", "type", "Battery");
        says("hidpp_battery_0", "scope", "Device");
        says("hidpp_battery_0", "capacity", "5");
        assert_eq!(power(dir.path()), None);
        says("BAT0", "type", "Battery");
        says("BAT0", "capacity", "80");
        says("BAT0", "status", "Discharging");
        says("AC", "type", "Mains");
        says("AC", "online", "0");
        assert_eq!(power(dir.path()), Some(Power { battery_fraction: 0.8, on_battery: true }));
        says("AC", "online", "1");
        assert_eq!(power(dir.path()), Some(Power { battery_fraction: 0.8, on_battery: false }));
        says("BAT0", "capacity", "full of it");
        assert_eq!(power(dir.path()), None);
        assert_eq!(power(&dir.path().join("nowhere")), None);
    }
}
