/**
 * Files of containers' cgroups as kernels wrote them, by name: of a container with --memory 64M --cpus 0.5 --pids-limit 50 that
 * wrote a file and then kept a processor busy.
 */

/** Linux 6.18, version 1; only the throttling was put in by hand. */
export const V1_CAPTURE = files(`
@cpuacct.usage_percpu
1568947 944244579 
@cpuacct.stat
user 94
system 0
@cpu.stat
nr_periods 26
nr_throttled 3
throttled_time 123456789
nr_bursts 0
burst_time 0
@memory.usage_in_bytes
5251072
@memory.max_usage_in_bytes
6463488
@memory.limit_in_bytes
67108864
@memory.failcnt
0
@memory.stat
cache 4890624
rss 57344
rss_huge 0
shmem 0
mapped_file 1363968
dirty 4096
writeback 0
workingset_refault_anon 0
workingset_refault_file 1
swap 0
swapcached 0
pgpgin 750
pgpgout 313
pgfault 407
pgmajfault 26
inactive_anon 53248
active_anon 4096
inactive_file 3940352
active_file 950272
unevictable 0
hierarchical_memory_limit 67108864
hierarchical_memsw_limit 134217728
total_cache 4890624
total_rss 57344
total_rss_huge 0
total_shmem 0
total_mapped_file 1363968
total_dirty 4096
total_writeback 0
total_workingset_refault_anon 0
total_workingset_refault_file 1
total_swap 0
total_swapcached 0
total_pgpgin 750
total_pgpgout 313
total_pgfault 407
total_pgmajfault 26
total_inactive_anon 53248
total_active_anon 4096
total_inactive_file 3940352
total_active_file 950272
total_unevictable 0
@pids.current
1
@pids.max
50
@blkio.throttle.io_service_bytes_recursive
Total 0
@blkio.throttle.io_serviced_recursive
Total 0
@blkio.bfq.io_service_bytes_recursive
Total 0
`);

/** Linux 6.1, version 2. */
export const V2_CAPTURE = files(`
@cpu.stat
usage_usec 6623614
user_usec 5873771
system_usec 749843
nr_periods 132
nr_throttled 129
throttled_usec 5776855
nr_bursts 0
burst_usec 0
@memory.current
3432448
@memory.max
67108864
@memory.events
low 0
high 0
max 0
oom 0
oom_kill 0
oom_group_kill 0
@memory.stat
anon 61440
file 3145728
kernel 225280
kernel_stack 0
pagetables 20480
sec_pagetables 0
percpu 144
sock 0
vmalloc 8192
shmem 0
file_mapped 0
file_dirty 0
file_writeback 0
swapcached 0
anon_thp 0
file_thp 0
shmem_thp 0
inactive_anon 57344
active_anon 4096
inactive_file 3145728
active_file 0
unevictable 0
slab_reclaimable 147056
slab_unreclaimable 28800
slab 175856
workingset_refault_anon 0
workingset_refault_file 0
workingset_activate_anon 0
workingset_activate_file 0
workingset_restore_anon 0
workingset_restore_file 0
workingset_nodereclaim 0
pgscan 0
pgsteal 0
pgscan_kswapd 0
pgscan_direct 0
pgsteal_kswapd 0
pgsteal_direct 0
pgfault 360
pgmajfault 0
pgrefill 0
pgactivate 0
pgdeactivate 0
pglazyfree 0
pglazyfreed 0
thp_fault_alloc 0
thp_collapse_alloc 0
@pids.current
1
@pids.max
50
@io.stat
254:0 rbytes=0 wbytes=3145728 rios=0 wios=3 dbytes=0 dios=0
`);

function files(text: string): ReadonlyMap<string, string> {
  return new Map(
    text
      .trimStart()
      .split(/^@/m)
      .filter((part) => part !== '')
      .map((part) => {
        const end = part.indexOf('\n');
        return [part.slice(0, end), part.slice(end + 1)];
      }),
  );
}
