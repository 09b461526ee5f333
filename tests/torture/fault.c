/* Makes the n-th write, rename, fsync or allocation of one process fail, once.
 *
 * Loaded by LD_PRELOAD, so that it meets every call of Python and of its libraries as the system
 * would, and nothing in the harness has to know of it. Counting begins with the first file opened
 * for writing below FAULT_ROOT; of writes, renames and fsyncs only those below it count.
 * FAULT_CALL: write, rename, fsync, malloc. FAULT_NUMBER: 1, 2, ... FAULT_MARK: a file that says
 * that it happened. Children inherit none of them.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char root[PATH_MAX], mark[PATH_MAX], call[16];
static long number, armed;
static pid_t owner;

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("FAULT_CALL");
    if (!name) return;
    strncpy(call, name, sizeof call - 1);
    strncpy(root, getenv("FAULT_ROOT"), sizeof root - 1);
    strncpy(mark, getenv("FAULT_MARK"), sizeof mark - 1);
    number = atol(getenv("FAULT_NUMBER"));
    owner = getpid();
    unsetenv("FAULT_CALL");
    unsetenv("LD_PRELOAD");
}

static int below(const char *path) { return path && strstr(path, root) == path; }

static int fails(const char *name) {
    if (!armed || number <= 0 || strcmp(name, call) || getpid() != owner) return 0;
    if (--number) return 0;
    int file = creat(mark, 0600);
    if (file >= 0) close(file);
    return 1;
}

static int ours(int file) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below(path);
}

#define NEXT(type, name, ...)                                     \
    static type (*next)(__VA_ARGS__);                             \
    if (!next) next = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static int opened(const char *name, const char *path, int flags, mode_t mode) {
    NEXT(int, name, const char *, int, ...);
    if (owner && (flags & (O_WRONLY | O_RDWR)) && below(path)) armed = 1;
    return next(path, flags, mode);
}

#define OPEN(name)                                     \
    int name(const char *path, int flags, ...) {       \
        va_list rest;                                  \
        va_start(rest, flags);                         \
        mode_t mode = va_arg(rest, mode_t);            \
        va_end(rest);                                  \
        return opened(#name, path, flags, mode);       \
    }
OPEN(open)
int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    return opened("open", path, flags, mode);
}

ssize_t write(int file, const void *data, size_t size) {
    NEXT(ssize_t, "write", int, const void *, size_t);
    if (armed && ours(file) && fails("write")) {
        errno = ENOSPC;
        return -1;
    }
    return next(file, data, size);
}

int rename(const char *from, const char *to) {
    NEXT(int, "rename", const char *, const char *);
    if (below(to) && fails("rename")) {
        errno = EIO;
        return -1;
    }
    return next(from, to);
}

int fsync(int file) {
    NEXT(int, "fsync", int);
    if (armed && ours(file) && fails("fsync")) {
        errno = EIO;
        return -1;
    }
    return next(file);
}

extern void *__libc_malloc(size_t), *__libc_realloc(void *, size_t);

/* Small ones are too many to fail one after another, and are served from arenas. */
static int allocation_fails(size_t size) { return size >= 65536 && fails("malloc"); }

void *malloc(size_t size) {
    if (allocation_fails(size)) return errno = ENOMEM, NULL;
    return __libc_malloc(size);
}

void *realloc(void *old, size_t size) {
    if (allocation_fails(size)) return errno = ENOMEM, NULL;
    return __libc_realloc(old, size);
}
