package qemu

// An image of another architecture is unpacked and not installed, for this
// machine does not run its packages' scripts: the kernel's way to do so
// (binfmt_misc) does not exist in most containers. Of what the scripts would
// do these programs do what the guest needs, with this machine's tools. $1 is
// the root, where they run as its owner.

// unpackBefore makes / and /usr one before packages come, as usrmerge does.
const unpackBefore = `set -e
for d in bin lib sbin; do
	mkdir -p "$1/usr/$d"
	ln -s "usr/$d" "$1/$d"
done`

// unpackAfter makes the files that packages make when they are installed:
// users (base-passwd), names (libc-bin), /usr/local (base-files), the bundle of
// authorities (ca-certificates) and links (mawk, debianutils). It leaves out
// what the installed image leaves out, and writes dpkg's database.
const unpackAfter = `set -e
cd "$1"
cp usr/share/base-passwd/passwd.master etc/passwd
cp usr/share/base-passwd/group.master etc/group
cp usr/share/libc-bin/nsswitch.conf etc/nsswitch.conf
mkdir -p usr/local/bin usr/local/lib usr/local/sbin usr/local/share/ca-certificates
cat usr/share/ca-certificates/mozilla/*.crt > etc/ssl/certs/ca-certificates.crt
ln -s mawk usr/bin/awk
ln -s which.debianutils usr/bin/which
for d in ` + excluded + `; do rm -rf usr/share/$d; done
for deb in var/cache/apt/archives/*.deb; do
	dpkg-deb --field "$deb" | sed 's/^Package: .*/&\nStatus: install ok unpacked/'
	echo
done > var/lib/dpkg/status`

// excluded are the directories below /usr/share that a guest does not need.
const excluded = "doc man info locale lintian bug"

// unpackArgs are mmdebstrap's arguments for a root that is only unpacked.
func unpackArgs(packages string) []string {
	return []string{
		"--variant=extract", "--include=?essential", "--include=usr-is-merged," + packages,
		"--setup-hook=" + unpackBefore, "--extract-hook=" + unpackAfter,
	}
}
