/*
 * The table of functions through which packetdrill drives a stack that lives in
 * a shared object. Order and types are what packetdrill calls; a function fails
 * as the system call of its name does: -1, and errno says why.
 */
#ifndef SENNIT_INTERFACE_H
#define SENNIT_INTERFACE_H

#include <poll.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>

/* The object's own. It comes first in every call. */
typedef void *self_t;

struct packetdrill_interface {
	self_t userdata;
	void (*free)(self_t);

	/* The socket calls. */
	int (*socket)(self_t, int family, int type, int protocol);
	int (*bind)(self_t, int fd, const struct sockaddr *, socklen_t);
	int (*listen)(self_t, int fd, int backlog);
	int (*accept)(self_t, int fd, struct sockaddr *, socklen_t *);
	int (*connect)(self_t, int fd, const struct sockaddr *, socklen_t);
	ssize_t (*read)(self_t, int fd, void *, size_t);
	ssize_t (*readv)(self_t, int fd, const struct iovec *, int);
	ssize_t (*recv)(self_t, int fd, void *, size_t, int flags);
	ssize_t (*recvfrom)(self_t, int fd, void *, size_t, int flags, struct sockaddr *, socklen_t *);
	ssize_t (*recvmsg)(self_t, int fd, struct msghdr *, int flags);
	ssize_t (*write)(self_t, int fd, const void *, size_t);
	ssize_t (*writev)(self_t, int fd, const struct iovec *, int);
	ssize_t (*send)(self_t, int fd, const void *, size_t, int flags);
	ssize_t (*sendto)(self_t, int fd, const void *, size_t, int flags, const struct sockaddr *, socklen_t);
	ssize_t (*sendmsg)(self_t, int fd, const struct msghdr *, int flags);
	int (*fcntl)(self_t, int fd, int command, ...);
	int (*ioctl)(self_t, int fd, unsigned long request, ...);
	int (*close)(self_t, int fd);
	int (*shutdown)(self_t, int fd, int how);
	int (*getsockopt)(self_t, int fd, int level, int option, void *, socklen_t *);
	int (*setsockopt)(self_t, int fd, int level, int option, const void *, socklen_t);
	int (*poll)(self_t, struct pollfd *, nfds_t, int timeout);

	/* The network: a whole IP packet into the stack; the next one out of it,
	 * with its time of leaving, or a length of 0. */
	int (*netdev_send)(self_t, const void *, size_t);
	int (*netdev_receive)(self_t, void *, size_t *, long long *usecs);

	/* Time. */
	int (*usleep)(self_t, unsigned);
	int (*gettimeofday)(self_t, struct timeval *, struct timezone *);

	int (*epoll_create)(self_t, int size);
	int (*epoll_ctl)(self_t, int epfd, int op, int fd, struct epoll_event *);
	int (*epoll_wait)(self_t, int epfd, struct epoll_event *, int most, int timeout);
	int (*pipe)(self_t, int fds[2]);
	int (*splice)(self_t, int in, int64_t *, int out, int64_t *, size_t, unsigned flags);
};

/* Fills the table for the host behind handle. */
void sennit_fill(struct packetdrill_interface *, uintptr_t handle);

#endif
