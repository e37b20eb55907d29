// Package qemu boots virtual machines with the topology of a Capsem VM: a
// kernel without a boot loader, a read-only squashfs under an overlay in
// memory, the workspace over virtiofs, vsock, and no network card.
//
//	image, _ := qemu.OpenImage(dir)
//	vm, _ := qemu.New(qemu.Options{Image: image, ...})  // directory, listeners
//	defer vm.Close()
//	go proxy.Serve(ctx, vm.Proxy())
//	vm.Boot(ctx, ...)                                   // until it serves
//	conn, _ := vm.Dial(ctx, vmconfig.SSHPort)
//
// A machine is three processes: QEMU, virtiofsd, and where the kernel has no
// vhost-vsock, vhost-device-vsock. The kernel kills them when this process
// ends, however it ends; Close kills them and removes the machine's
// directory. A directory that a killed process left is removed by the next
// New.
//
// What comes out of a machine is untrusted. Its console is bounded, and
// escaped where people see it.
package qemu
