"""Bad networks on one machine: two namespaces, a wire between them, and what goes wrong on it.

`namespace` makes network namespaces that vanish with their maker, `link` joins two of them,
`impairment` says how bad the wire is, `relay` is the wire where the kernel has no netem, `traffic`
holds the programs that talk across it and `workload` starts them.  Nothing here ever touches an
interface of the machine itself, and nothing outlives the process that asked for it.
"""
