//go:build linux && cgo

package main

/*
#include "interface.h"
*/
import "C"

import (
	"fmt"
	"os"
	"runtime/cgo"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sennit-net/sennit/cmd/sennit-packetdrill/drill"
)

func main() {
	fmt.Fprintln(os.Stderr, "sennit-packetdrill is a shared object for packetdrill, not a program:\n"+
		"	go build -buildmode=c-shared -o sennit-packetdrill.so ./cmd/sennit-packetdrill\n"+
		"	packetdrill --so_filename=$PWD/sennit-packetdrill.so SCRIPT")
	os.Exit(1)
}

//export packetdrill_interface_init
func packetdrill_interface_init(flags *C.char, t *C.struct_packetdrill_interface) {
	text := ""
	if flags != nil {
		text = C.GoString(flags)
	}
	f, err := drill.ParseFlags(text)
	if err != nil {
		fmt.Fprintln(os.Stderr, "sennit-packetdrill:", err)
		os.Exit(1)
	}
	C.sennit_fill(t, C.uintptr_t(cgo.NewHandle(drill.New(f))))
}

func host(h C.uintptr_t) *drill.Host { return cgo.Handle(h).Value().(*drill.Host) }

// bytesAt is n bytes of C's memory, for the time of the call.
func bytesAt(p unsafe.Pointer, n C.size_t) []byte {
	if p == nil {
		return nil
	}
	return unsafe.Slice((*byte)(p), n)
}

// give is what a function returns to C.
func give(n int, e unix.Errno) C.long {
	if e != 0 {
		return -C.long(e)
	}
	return C.long(n)
}

// giveAddr copies a sockaddr to where the caller has room for it.
func giveAddr(addr []byte, to unsafe.Pointer, n *C.socklen_t) {
	if to == nil || n == nil {
		return
	}
	copy(bytesAt(to, C.size_t(*n)), addr)
	*n = C.socklen_t(len(addr))
}

//export sennitFree
func sennitFree(h C.uintptr_t) {
	host(h).Free()
	cgo.Handle(h).Delete()
}

//export sennitSocket
func sennitSocket(h C.uintptr_t, family, kind, protocol C.int) C.long {
	return give(host(h).Socket(int(family), int(kind), int(protocol)))
}

//export sennitBind
func sennitBind(h C.uintptr_t, fd C.int, addr unsafe.Pointer, n C.socklen_t) C.long {
	return give(0, host(h).Bind(int(fd), bytesAt(addr, C.size_t(n))))
}

//export sennitListen
func sennitListen(h C.uintptr_t, fd, backlog C.int) C.long {
	return give(0, host(h).Listen(int(fd), int(backlog)))
}

//export sennitAccept
func sennitAccept(h C.uintptr_t, fd, flags C.int, addr unsafe.Pointer, n *C.socklen_t) C.long {
	conn, peer, e := host(h).Accept(int(fd), int(flags))
	if e == 0 {
		giveAddr(peer, addr, n)
	}
	return give(conn, e)
}

//export sennitConnect
func sennitConnect(h C.uintptr_t, fd C.int, addr unsafe.Pointer, n C.socklen_t) C.long {
	return give(0, host(h).Connect(int(fd), bytesAt(addr, C.size_t(n))))
}

//export sennitRecv
func sennitRecv(h C.uintptr_t, fd C.int, p unsafe.Pointer, n C.size_t, flags C.int, addr unsafe.Pointer, len *C.socklen_t) C.long {
	k, from, e := host(h).Recv(int(fd), bytesAt(p, n), int(flags))
	if e == 0 {
		giveAddr(from, addr, len)
	}
	return give(k, e)
}

//export sennitSend
func sennitSend(h C.uintptr_t, fd C.int, p unsafe.Pointer, n C.size_t, flags C.int, addr unsafe.Pointer, len C.socklen_t) C.long {
	return give(host(h).Send(int(fd), bytesAt(p, n), int(flags), bytesAt(addr, C.size_t(len))))
}

//export sennitHint
func sennitHint(h C.uintptr_t, fd C.int) C.long {
	n, ok := host(h).Hint(int(fd))
	if !ok {
		return -1
	}
	return C.long(n)
}

//export sennitFcntl
func sennitFcntl(h C.uintptr_t, fd, cmd, arg C.int) C.long {
	return give(host(h).Fcntl(int(fd), int(cmd), int(arg)))
}

//export sennitIoctl
func sennitIoctl(h C.uintptr_t, fd C.int, request C.ulong) C.long {
	return give(host(h).Ioctl(int(fd), uint(request)))
}

//export sennitClose
func sennitClose(h C.uintptr_t, fd C.int) C.long { return give(0, host(h).Close(int(fd))) }

//export sennitShutdown
func sennitShutdown(h C.uintptr_t, fd, how C.int) C.long {
	return give(0, host(h).Shutdown(int(fd), int(how)))
}

//export sennitGetOption
func sennitGetOption(h C.uintptr_t, fd, level, opt C.int, p unsafe.Pointer, n *C.socklen_t) C.long {
	if p == nil || n == nil {
		return give(0, unix.EFAULT)
	}
	k, e := host(h).GetOption(int(fd), int(level), int(opt), bytesAt(p, C.size_t(*n)))
	if e == 0 {
		*n = C.socklen_t(k)
	}
	return give(0, e)
}

//export sennitSetOption
func sennitSetOption(h C.uintptr_t, fd, level, opt C.int, p unsafe.Pointer, n C.socklen_t) C.long {
	return give(0, host(h).SetOption(int(fd), int(level), int(opt), bytesAt(p, C.size_t(n))))
}

//export sennitPoll
func sennitPoll(h C.uintptr_t, fds *C.struct_pollfd, n C.nfds_t, timeout C.int) C.long {
	var list []unix.PollFd
	if fds != nil {
		list = unsafe.Slice((*unix.PollFd)(unsafe.Pointer(fds)), n)
	}
	return give(host(h).Poll(list, int(timeout)))
}

//export sennitInject
func sennitInject(h C.uintptr_t, p unsafe.Pointer, n C.size_t) { host(h).Inject(bytesAt(p, n)) }

//export sennitNext
func sennitNext(h C.uintptr_t, p unsafe.Pointer, n C.size_t, usecs *C.longlong) C.size_t {
	packet, ok := host(h).Next()
	if !ok {
		return 0
	}
	*usecs = C.longlong(packet.Micros())
	return C.size_t(copy(bytesAt(p, n), packet.Bytes))
}

//export sennitSleep
func sennitSleep(h C.uintptr_t, usecs C.long) { host(h).SleepMicros(int64(usecs)) }

//export sennitTime
func sennitTime(h C.uintptr_t) C.longlong { return C.longlong(host(h).Micros()) }

//export sennitEpollCreate
func sennitEpollCreate(h C.uintptr_t) C.long { return give(host(h).EpollCreate()) }

//export sennitEpollCtl
func sennitEpollCtl(h C.uintptr_t, epfd, op, fd C.int, ev *C.struct_epoll_event) C.long {
	var e unix.EpollEvent
	if ev != nil {
		e = *(*unix.EpollEvent)(unsafe.Pointer(ev))
	}
	return give(0, host(h).EpollCtl(int(epfd), int(op), int(fd), e))
}

//export sennitEpollWait
func sennitEpollWait(h C.uintptr_t, epfd C.int, ev *C.struct_epoll_event, most, timeout C.int) C.long {
	found, e := host(h).EpollWait(int(epfd), int(most), int(timeout))
	if e == 0 && len(found) > 0 {
		copy(unsafe.Slice((*unix.EpollEvent)(unsafe.Pointer(ev)), most), found)
	}
	return give(len(found), e)
}

//export sennitSplice
func sennitSplice(h C.uintptr_t, in, out C.int, n C.size_t, flags C.uint) C.long {
	return give(host(h).Splice(int(in), int(out), int(n), int(flags)))
}
