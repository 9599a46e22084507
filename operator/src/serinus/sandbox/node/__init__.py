"""The sandbox's node: runs pods as local processes, the way a kubelet runs containers."""
