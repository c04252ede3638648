//go:build linux && cgo

// What C has to do: errno, variable arguments, scattered memory. Every call into
// Go gives a result, or a negative errno.

#include "interface.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "_cgo_export.h"

#define HOST(self) ((uintptr_t)(self))

static long result(long r)
{
	if (r >= 0)
		return r;
	errno = (int)-r;
	return -1;
}

static void do_free(self_t self) { sennitFree(HOST(self)); }

static int do_socket(self_t self, int family, int type, int protocol)
{
	return result(sennitSocket(HOST(self), family, type, protocol));
}

static int do_bind(self_t self, int fd, const struct sockaddr *addr, socklen_t n)
{
	return result(sennitBind(HOST(self), fd, (void *)addr, n));
}

static int do_listen(self_t self, int fd, int backlog)
{
	return result(sennitListen(HOST(self), fd, backlog));
}

static int do_accept(self_t self, int fd, struct sockaddr *addr, socklen_t *n)
{
	return result(sennitAccept(HOST(self), fd, 0, addr, addr ? n : NULL));
}

static int do_connect(self_t self, int fd, const struct sockaddr *addr, socklen_t n)
{
	return result(sennitConnect(HOST(self), fd, (void *)addr, n));
}

/* in reads n bytes; what is no socket of ours is the kernel's. */
static long in(self_t self, int fd, void *buf, size_t n, int flags, struct sockaddr *from, socklen_t *len)
{
	if (!buf && n > 0)
		return -EFAULT;
	return sennitRecv(HOST(self), fd, buf, n, flags, from, from ? len : NULL);
}

static long out(self_t self, int fd, const void *buf, size_t n, int flags, const struct sockaddr *to, socklen_t len)
{
	if (!buf && n > 0)
		return -EFAULT;
	return sennitSend(HOST(self), fd, (void *)buf, n, flags, (void *)to, to ? len : 0);
}

static ssize_t do_read(self_t self, int fd, void *buf, size_t n)
{
	long r = in(self, fd, buf, n, 0, NULL, NULL);
	return r == -EBADF ? read(fd, buf, n) : result(r);
}

static ssize_t do_write(self_t self, int fd, const void *buf, size_t n)
{
	long r = out(self, fd, buf, n, 0, NULL, 0);
	return r == -EBADF ? write(fd, buf, n) : result(r);
}

static ssize_t do_recvfrom(self_t self, int fd, void *buf, size_t n, int flags, struct sockaddr *from, socklen_t *len)
{
	return result(in(self, fd, buf, n, flags, from, len));
}

static ssize_t do_recv(self_t self, int fd, void *buf, size_t n, int flags)
{
	return result(in(self, fd, buf, n, flags, NULL, NULL));
}

static ssize_t do_sendto(self_t self, int fd, const void *buf, size_t n, int flags, const struct sockaddr *to,
			 socklen_t len)
{
	return result(out(self, fd, buf, n, flags, to, len));
}

static ssize_t do_send(self_t self, int fd, const void *buf, size_t n, int flags)
{
	return result(out(self, fd, buf, n, flags, NULL, 0));
}

static size_t total(const struct iovec *v, size_t count)
{
	size_t n = 0;
	for (size_t i = 0; i < count; i++)
		n += v[i].iov_len;
	return n;
}

/* gathered returns one copy of the pieces; the caller frees it. */
static char *gathered(const struct iovec *v, size_t count)
{
	char *buf = malloc(total(v, count) + 1), *p = buf;
	for (size_t i = 0; buf && i < count; i++) {
		memcpy(p, v[i].iov_base, v[i].iov_len);
		p += v[i].iov_len;
	}
	return buf;
}

static void scatter(const struct iovec *v, size_t count, const char *p, size_t n)
{
	for (size_t i = 0; n > 0 && i < count; i++) {
		size_t k = v[i].iov_len < n ? v[i].iov_len : n;
		memcpy(v[i].iov_base, p, k);
		p += k;
		n -= k;
	}
}

/* hint writes the control message of TCP_INQ, or none. */
static void hint(self_t self, int fd, struct msghdr *m)
{
	long left = sennitHint(HOST(self), fd);
	int n = (int)left;
	if (left < 0 || !m->msg_control || m->msg_controllen < CMSG_SPACE(sizeof n)) {
		m->msg_controllen = 0;
		return;
	}
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	c->cmsg_level = IPPROTO_TCP;
	c->cmsg_type = TCP_INQ;
	c->cmsg_len = CMSG_LEN(sizeof n);
	memcpy(CMSG_DATA(c), &n, sizeof n);
	m->msg_controllen = CMSG_SPACE(sizeof n);
}

static ssize_t do_recvmsg(self_t self, int fd, struct msghdr *m, int flags)
{
	size_t n = total(m->msg_iov, m->msg_iovlen);
	char *buf = malloc(n + 1);
	if (!buf)
		return result(-ENOMEM);
	long r = in(self, fd, buf, n, flags, m->msg_name, &m->msg_namelen);
	if (r > 0 && !(flags & MSG_TRUNC))
		scatter(m->msg_iov, m->msg_iovlen, buf, r);
	free(buf);
	if (r >= 0) {
		hint(self, fd, m);
		m->msg_flags = 0;
	}
	return result(r);
}

static ssize_t do_sendmsg(self_t self, int fd, const struct msghdr *m, int flags)
{
	char *buf = gathered(m->msg_iov, m->msg_iovlen);
	if (!buf)
		return result(-ENOMEM);
	long r = out(self, fd, buf, total(m->msg_iov, m->msg_iovlen), flags, m->msg_name, m->msg_namelen);
	free(buf);
	return result(r);
}

static ssize_t do_readv(self_t self, int fd, const struct iovec *v, int count)
{
	struct msghdr m = {.msg_iov = (struct iovec *)v, .msg_iovlen = count};
	return do_recvmsg(self, fd, &m, 0);
}

static ssize_t do_writev(self_t self, int fd, const struct iovec *v, int count)
{
	struct msghdr m = {.msg_iov = (struct iovec *)v, .msg_iovlen = count};
	return do_sendmsg(self, fd, &m, 0);
}

static int do_fcntl(self_t self, int fd, int command, ...)
{
	va_list list;
	va_start(list, command);
	long arg = va_arg(list, long);
	va_end(list);
	return result(sennitFcntl(HOST(self), fd, command, (int)arg));
}

static int do_ioctl(self_t self, int fd, unsigned long request, ...)
{
	va_list list;
	va_start(list, request);
	int *value = va_arg(list, int *);
	va_end(list);
	long r = sennitIoctl(HOST(self), fd, request);
	if (r < 0)
		return result(r);
	if (value)
		*value = (int)r;
	return 0;
}

static int do_close(self_t self, int fd) { return result(sennitClose(HOST(self), fd)); }

static int do_shutdown(self_t self, int fd, int how) { return result(sennitShutdown(HOST(self), fd, how)); }

static int do_getsockopt(self_t self, int fd, int level, int option, void *value, socklen_t *n)
{
	return result(sennitGetOption(HOST(self), fd, level, option, value, n));
}

static int do_setsockopt(self_t self, int fd, int level, int option, const void *value, socklen_t n)
{
	return result(sennitSetOption(HOST(self), fd, level, option, (void *)value, n));
}

static int do_poll(self_t self, struct pollfd *fds, nfds_t n, int timeout)
{
	return result(sennitPoll(HOST(self), fds, n, timeout));
}

static int do_netdev_send(self_t self, const void *buf, size_t n)
{
	sennitInject(HOST(self), (void *)buf, n);
	return 0;
}

static int do_netdev_receive(self_t self, void *buf, size_t *n, long long *usecs)
{
	*n = sennitNext(HOST(self), buf, *n, usecs);
	return 0;
}

static int do_usleep(self_t self, unsigned usecs)
{
	sennitSleep(HOST(self), usecs);
	return 0;
}

static int do_gettimeofday(self_t self, struct timeval *tv, struct timezone *tz)
{
	long long us = sennitTime(HOST(self));
	tv->tv_sec = us / 1000000;
	tv->tv_usec = us % 1000000;
	if (tz)
		memset(tz, 0, sizeof *tz);
	return 0;
}

static int do_epoll_create(self_t self, int size)
{
	return size > 0 ? result(sennitEpollCreate(HOST(self))) : result(-EINVAL);
}

static int do_epoll_ctl(self_t self, int epfd, int op, int fd, struct epoll_event *ev)
{
	return result(sennitEpollCtl(HOST(self), epfd, op, fd, ev));
}

static int do_epoll_wait(self_t self, int epfd, struct epoll_event *ev, int most, int timeout)
{
	return result(sennitEpollWait(HOST(self), epfd, ev, most, timeout));
}

static int do_pipe(self_t self, int fds[2])
{
	(void)self;
	return pipe(fds);
}

static int do_splice(self_t self, int from, int64_t *off_in, int to, int64_t *off_out, size_t n, unsigned flags)
{
	if (off_in || off_out)
		return result(-ESPIPE);
	return result(sennitSplice(HOST(self), from, to, n, flags));
}

void sennit_fill(struct packetdrill_interface *t, uintptr_t handle)
{
	*t = (struct packetdrill_interface){
		.userdata = (self_t)handle,
		.free = do_free,
		.socket = do_socket,
		.bind = do_bind,
		.listen = do_listen,
		.accept = do_accept,
		.connect = do_connect,
		.read = do_read,
		.readv = do_readv,
		.recv = do_recv,
		.recvfrom = do_recvfrom,
		.recvmsg = do_recvmsg,
		.write = do_write,
		.writev = do_writev,
		.send = do_send,
		.sendto = do_sendto,
		.sendmsg = do_sendmsg,
		.fcntl = do_fcntl,
		.ioctl = do_ioctl,
		.close = do_close,
		.shutdown = do_shutdown,
		.getsockopt = do_getsockopt,
		.setsockopt = do_setsockopt,
		.poll = do_poll,
		.netdev_send = do_netdev_send,
		.netdev_receive = do_netdev_receive,
		.usleep = do_usleep,
		.gettimeofday = do_gettimeofday,
		.epoll_create = do_epoll_create,
		.epoll_ctl = do_epoll_ctl,
		.epoll_wait = do_epoll_wait,
		.pipe = do_pipe,
		.splice = do_splice,
	};
}
