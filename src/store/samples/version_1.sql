-- samples.db as version 1 of its schema made it, with two samples of a machine and one of a step.
PRAGMA journal_mode = WAL;
CREATE TABLE machine_samples (level INTEGER NOT NULL, at_ms INTEGER NOT NULL,
  cpu_ppm INTEGER NOT NULL, cpu_peak_ppm INTEGER NOT NULL,
  memory_bytes INTEGER NOT NULL, memory_peak_bytes INTEGER NOT NULL, memory_total_bytes INTEGER NOT NULL,
  swap_bytes INTEGER NOT NULL, swap_total_bytes INTEGER NOT NULL, disk_free_bytes INTEGER NOT NULL,
  disk_read_rate INTEGER NOT NULL, disk_write_rate INTEGER NOT NULL,
  network_receive_rate INTEGER NOT NULL, network_send_rate INTEGER NOT NULL,
  PRIMARY KEY (level, at_ms)) WITHOUT ROWID;
CREATE TABLE series (id INTEGER PRIMARY KEY, run_id TEXT NOT NULL, step_id TEXT NOT NULL,
  attempt INTEGER NOT NULL, UNIQUE (run_id, step_id, attempt));
CREATE TABLE step_samples (level INTEGER NOT NULL, at_ms INTEGER NOT NULL, series INTEGER NOT NULL,
  cpu_ppm INTEGER NOT NULL, cpu_peak_ppm INTEGER NOT NULL,
  memory_bytes INTEGER NOT NULL, memory_peak_bytes INTEGER NOT NULL,
  read_rate INTEGER NOT NULL, write_rate INTEGER NOT NULL, n_processes INTEGER NOT NULL,
  PRIMARY KEY (level, at_ms, series)) WITHOUT ROWID;
INSERT INTO machine_samples VALUES (0, 1795399200000, 1, 1, 1, 1, 2, 0, 0, 9, 0, 0, 0, 0);
INSERT INTO machine_samples VALUES (0, 1795399201000, 1, 1, 1, 1, 2, 0, 0, 9, 0, 0, 0, 0);
INSERT INTO series VALUES (1, 'old', 's', 1);
INSERT INTO step_samples VALUES (0, 1795399201000, 1, 1, 1, 1, 1, 0, 0, 1);
PRAGMA user_version = 1;
