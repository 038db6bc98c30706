/** What of /proc and /sys a sandbox does not see, or does not write. Pure values; docker thread. */

/** The list replaces Docker's, so what Docker masks stands here too. A path that a kernel does not have is left out by runc. */
export const MASKED_PATHS = [
  // Docker's own, of its newest release: older ones mask fewer.
  '/proc/acpi',
  '/proc/asound',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
  // How the host was started, perhaps with addresses and names in it; its disks, drivers and locks.
  '/proc/bootconfig',
  '/proc/cmdline',
  '/proc/config.gz',
  '/proc/diskstats',
  '/proc/driver',
  '/proc/fs',
  '/proc/kallsyms',
  '/proc/key-users',
  '/proc/locks',
  '/proc/mdstat',
  '/proc/modules',
  '/proc/partitions',
  '/proc/softirqs',
  '/proc/swaps',
  '/sys/devices/virtual/dmi',
];

/** Docker's own list. */
export const READONLY_PATHS = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];
