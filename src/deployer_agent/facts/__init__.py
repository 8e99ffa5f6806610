"""What the host is: cpu, memory, disks, network, system. One structure on all systems (docs/agent.md)."""
