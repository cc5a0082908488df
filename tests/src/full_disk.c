/* Preloaded into PostgreSQL: while the file named by FULL_DISK exists, nothing can make a file larger, as on a full disk. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int refused(int fd, off_t end)
{
	const char *flag = getenv("FULL_DISK");
	struct stat file;
	if (!flag || access(flag, F_OK) != 0 || fstat(fd, &file) != 0) return 0;
	if (!S_ISREG(file.st_mode) || end <= file.st_size) return 0;
	errno = ENOSPC;
	return 1;
}

static off_t length(const struct iovec *parts, int count)
{
	off_t sum = 0;
	for (int i = 0; i < count; i++) sum += parts[i].iov_len;
	return sum;
}

#define NEXT(name, ...) static __typeof__(__VA_ARGS__) next; if (!next) next = (__typeof__(next))dlsym(RTLD_NEXT, name)

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at)
{
	NEXT("pwrite", ssize_t (*)(int, const void *, size_t, off_t));
	return refused(fd, at + count) ? -1 : next(fd, bytes, count, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t at)
{
	NEXT("pwrite64", ssize_t (*)(int, const void *, size_t, off_t));
	return refused(fd, at + count) ? -1 : next(fd, bytes, count, at);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at)
{
	NEXT("pwritev", ssize_t (*)(int, const struct iovec *, int, off_t));
	return refused(fd, at + length(parts, count)) ? -1 : next(fd, parts, count, at);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t at)
{
	NEXT("pwritev64", ssize_t (*)(int, const struct iovec *, int, off_t));
	return refused(fd, at + length(parts, count)) ? -1 : next(fd, parts, count, at);
}

int posix_fallocate(int fd, off_t at, off_t count)
{
	NEXT("posix_fallocate", int (*)(int, off_t, off_t));
	return refused(fd, at + count) ? ENOSPC : next(fd, at, count);
}

int posix_fallocate64(int fd, off_t at, off_t count)
{
	NEXT("posix_fallocate64", int (*)(int, off_t, off_t));
	return refused(fd, at + count) ? ENOSPC : next(fd, at, count);
}
