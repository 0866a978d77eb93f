package store

import "syscall"

// networkFS returns the name of the network file system that path lies on, "" for any other. The
// numbers are those of statfs(2).
func networkFS(path string) (string, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(path, &stat); err != nil {
		return "", err
	}
	return networkFSName(uint32(stat.Type)), nil
}

func networkFSName(magic uint32) string {
	switch magic {
	case 0x6969:
		return "NFS"
	case 0x517b, 0xff534d42, 0xfe534d42:
		return "SMB"
	case 0x00c36400:
		return "Ceph"
	case 0x0bd00bd0:
		return "Lustre"
	case 0x5346414f:
		return "AFS"
	}
	return ""
}
