package store_test

import (
	"testing"

	"chatpass/store"
)

func TestNetworkFileSystemsAreKnown(t *testing.T) {
	for magic, want := range map[uint32]string{
		0x6969: "NFS", 0xff534d42: "SMB", 0xfe534d42: "SMB", 0x517b: "SMB", 0x00c36400: "Ceph", 0x0bd00bd0: "Lustre",
		0x5346414f: "AFS",
		0xef53:     "" /* ext4 */, 0x58465342: "" /* XFS */, 0x9123683e: "" /* Btrfs */, 0x01021994: "", /* tmpfs */
		0x794c7630: "" /* overlay */, 0x65735546: "", /* FUSE: local or not, nobody knows */
	} {
		if got := store.NetworkFSName(magic); got != want {
			t.Errorf("file system %#x: got %q, want %q", magic, got, want)
		}
	}
}
