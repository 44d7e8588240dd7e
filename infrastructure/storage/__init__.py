"""What outlives a process: tables, blobs, requests between processes, and the lock that says who may write."""
