/*
 * Opens the shared object as the tool it is made for does, and calls through its
 * table what standard input says, one command a line; each answer is one line:
 * result, errno, and data in hexadecimal or -. "async" before a command runs it
 * on a thread of its own and answers at "join".
 */
#define _GNU_SOURCE
#include "../interface.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct packetdrill_interface t;

#define MOST 262144

struct answer {
	long long result;
	int error;
	size_t n;
	unsigned char data[MOST];
};

static size_t unhex(const char *s, unsigned char *p)
{
	size_t n = 0;
	unsigned byte;
	while (n < MOST && sscanf(s, "%2x", &byte) == 1) {
		p[n++] = (unsigned char)byte;
		s += 2;
	}
	return n;
}

/* number returns the next word of a command as a number. */
static long number(char **rest)
{
	char *w = strtok_r(NULL, " \n", rest);
	return w ? strtol(w, NULL, 0) : 0;
}

static size_t bytes(char **rest, unsigned char *p)
{
	char *w = strtok_r(NULL, " \n", rest);
	return w ? unhex(w, p) : 0;
}

static void run(char *line, struct answer *a)
{
	static __thread unsigned char buf[MOST];
	self_t u = t.userdata;
	char *rest, *c = strtok_r(line, " \n", &rest);
	socklen_t len;
	long x;

	a->n = 0;
	errno = 0;
#define IS(name) (strcmp(c, name) == 0)
#define N number(&rest)
	if (IS("socket")) {
		int family = N, type = N;
		a->result = t.socket(u, family, type, N);
	} else if (IS("bind") || IS("connect")) {
		int fd = N;
		len = bytes(&rest, buf);
		a->result = (IS("bind") ? t.bind : t.connect)(u, fd, (struct sockaddr *)buf, len);
	} else if (IS("listen")) {
		int fd = N;
		a->result = t.listen(u, fd, N);
	} else if (IS("accept")) {
		len = MOST;
		a->result = t.accept(u, N, (struct sockaddr *)a->data, &len);
		a->n = a->result >= 0 ? len : 0;
	} else if (IS("recv") || IS("readv") || IS("read")) {
		int fd = N;
		size_t n = N;
		if (IS("readv")) {
			struct iovec v[2] = {{a->data, n / 2}, {a->data + n / 2, n - n / 2}};
			a->result = t.readv(u, fd, v, 2);
		} else if (IS("read")) {
			a->result = t.read(u, fd, a->data, n);
		} else {
			a->result = t.recv(u, fd, a->data, n, N);
		}
		a->n = a->result > 0 ? a->result : 0;
	} else if (IS("recvmsg")) {
		/* The control message, if there is one, follows the bytes. */
		char control[256];
		int fd = N;
		struct iovec v = {.iov_base = a->data, .iov_len = N};
		struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
				   .msg_controllen = sizeof control};
		a->result = t.recvmsg(u, fd, &m, 0);
		a->n = a->result > 0 ? a->result : 0;
		if (a->result >= 0 && m.msg_controllen > 0) {
			memcpy(a->data + a->n, CMSG_DATA(CMSG_FIRSTHDR(&m)), 4);
			a->n += 4;
		}
	} else if (IS("epoll_create")) {
		a->result = t.epoll_create(u, 1);
	} else if (IS("epoll_ctl")) {
		int epfd = N, op = N, fd = N;
		struct epoll_event ev = {.events = N, .data.fd = fd};
		a->result = t.epoll_ctl(u, epfd, op, fd, &ev);
	} else if (IS("epoll_wait")) {
		struct epoll_event ev[4] = {{0}};
		int epfd = N;
		a->result = t.epoll_wait(u, epfd, ev, 4, N);
		memcpy(a->data, &ev[0].events, 4);
		a->n = a->result > 0 ? 4 : 0;
	} else if (IS("send")) {
		int fd = N, flags = N;
		size_t n = bytes(&rest, buf);
		a->result = t.send(u, fd, buf, n, flags);
	} else if (IS("sendto")) {
		static __thread unsigned char to[128];
		int fd = N, flags = N;
		len = bytes(&rest, to);
		size_t n = bytes(&rest, buf);
		a->result = t.sendto(u, fd, buf, n, flags, (struct sockaddr *)to, len);
	} else if (IS("writev")) {
		int fd = N;
		size_t n = bytes(&rest, buf);
		struct iovec v[2] = {{buf, n / 2}, {buf + n / 2, n - n / 2}};
		a->result = t.writev(u, fd, v, 2);
	} else if (IS("fcntl")) {
		int fd = N, command = N;
		x = N;
		a->result = t.fcntl(u, fd, command, x);
	} else if (IS("ioctl")) {
		int fd = N, value = 0;
		a->result = t.ioctl(u, fd, N, &value);
		if (a->result == 0)
			a->result = value;
	} else if (IS("close")) {
		a->result = t.close(u, N);
	} else if (IS("shutdown")) {
		int fd = N;
		a->result = t.shutdown(u, fd, N);
	} else if (IS("getsockopt")) {
		int fd = N, level = N, option = N;
		len = N;
		a->result = t.getsockopt(u, fd, level, option, a->data, &len);
		a->n = a->result == 0 ? len : 0;
	} else if (IS("setsockopt")) {
		int fd = N, level = N, option = N;
		len = bytes(&rest, buf);
		a->result = t.setsockopt(u, fd, level, option, buf, len);
	} else if (IS("poll")) {
		struct pollfd p = {.fd = N};
		p.events = N;
		a->result = t.poll(u, &p, 1, N);
		memcpy(a->data, &p.revents, a->n = 2);
	} else if (IS("inject")) {
		size_t n = bytes(&rest, buf);
		a->result = t.netdev_send(u, buf, n);
	} else if (IS("next")) {
		size_t n = MOST;
		long long usecs = 0;
		t.netdev_receive(u, a->data, &n, &usecs);
		a->n = n;
		a->result = usecs;
	} else if (IS("sleep")) {
		a->result = t.usleep(u, N);
	} else if (IS("time")) {
		struct timeval tv;
		t.gettimeofday(u, &tv, NULL);
		a->result = tv.tv_sec * 1000000LL + tv.tv_usec;
	} else {
		fprintf(stderr, "driver: no command %s\n", c);
		exit(2);
	}
	a->error = errno;
}

static struct answer direct, apart;
static char apart_line[2 * MOST + 64];
static pthread_t thread;
static volatile int thread_id, done;

static void *run_apart(void *unused)
{
	struct timeval tv;
	thread_id = gettid();
	run(apart_line, &apart);
	t.gettimeofday(t.userdata, &tv, NULL);
	done = 1;
	return unused;
}

/* sleeping tells whether the thread waits, as the kernel sees it. */
static int sleeping(void)
{
	char name[64], state = 0;
	snprintf(name, sizeof name, "/proc/self/task/%d/stat", thread_id);
	FILE *f = fopen(name, "r");
	if (!f)
		return 0;
	if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = 0;
	fclose(f);
	return state == 'S';
}

/* settle returns when the thread has been waiting for a while, or is done. */
static void settle(void)
{
	for (int calm = 0; calm < 10 && !done; usleep(1000))
		calm = thread_id && sleeping() ? calm + 1 : 0;
}

static void print(const struct answer *a)
{
	printf("%lld %d ", a->result, a->result < 0 ? a->error : 0);
	if (a->n == 0)
		putchar('-');
	for (size_t i = 0; i < a->n; i++)
		printf("%02x", a->data[i]);
	putchar('\n');
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static char line[2 * MOST + 64];
	void (*init)(const char *, struct packetdrill_interface *);
	void *so;

	if (argc != 3 || !(so = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE | RTLD_DEEPBIND))) {
		fprintf(stderr, "driver: %s\n", argc == 3 ? dlerror() : "driver FILE.so FLAGS");
		return 2;
	}
	init = (void (*)(const char *, struct packetdrill_interface *))dlsym(so, "packetdrill_interface_init");
	if (!init) {
		fprintf(stderr, "driver: %s\n", dlerror());
		return 2;
	}
	init(argv[2], &t);
	while (fgets(line, sizeof line, stdin)) {
		if (strncmp(line, "async ", 6) == 0) {
			snprintf(apart_line, sizeof apart_line, "%s", line + 6);
			thread_id = done = 0;
			pthread_create(&thread, NULL, run_apart, NULL);
			settle();
			puts("0 0 -");
			fflush(stdout);
		} else if (strncmp(line, "join", 4) == 0) {
			pthread_join(thread, NULL);
			print(&apart);
		} else {
			run(line, &direct);
			print(&direct);
		}
	}
	t.free(t.userdata);
	return 0;
}
