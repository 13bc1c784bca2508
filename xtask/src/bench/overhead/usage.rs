//! What a process has used: processor time and peak memory, as the Linux kernel counts them.

use std::fs;

/// Processor time of all living threads of this process, in seconds.
///
/// # Errors
///
/// On a system without `/proc`.
pub(super) fn cpu_seconds() -> Result<f64, String> {
    let tasks = fs::read_dir("/proc/self/task").map_err(|error| format!("/proc/self/task: {error}"))?;
    let nanoseconds = tasks.flatten().map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|first| first.parse::<u64>().ok()).unwrap_or(0)
    });
    Ok(nanoseconds.sum::<u64>() as f64 / 1e9)
}

/// Makes the peak memory begin anew at what is used now. Without effect where the kernel does not allow it; the peak is then
/// that of the process's whole life.
pub(super) fn reset_peak() {
    drop(fs::write("/proc/self/clear_refs", "5"));
}

/// The most resident memory of this process, in MiB.
///
/// # Errors
///
/// On a system without `/proc`.
pub(super) fn peak_mib() -> Result<f64, String> {
    peak_mib_of("self")
}

/// The same of the process with this number.
pub(crate) fn peak_mib_of(process: &str) -> Result<f64, String> {
    let file = format!("/proc/{process}/status");
    let status = fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    Ok(kib.ok_or_else(|| format!("no VmHWM in {file}"))? / 1024.0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn use_is_counted() {
        reset_peak();
        let (cpu, peak) = (cpu_seconds().unwrap(), peak_mib().unwrap());
        let held = vec![1u8; 64 << 20];
        assert!(held.iter().map(|byte| u64::from(*byte)).sum::<u64>() == 64 << 20);
        assert!(cpu_seconds().unwrap() > cpu);
        assert!(peak_mib().unwrap() > peak + 60.0);
    }
}
