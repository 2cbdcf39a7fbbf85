/* Preloaded into a process whose files are to survive a power failure only as far as they were synced.
 *
 * Each change below the directory in POWER_LOSS_DIRECTORY is written to the file in POWER_LOSS_LOG before it is made, with
 * what is needed to undo it; each sync that succeeded is written there as well. Syncs themselves are left out: the log
 * says what they would have made durable. With POWER_LOSS_FAILS=n the n-th fdatasync of a journal fails, and what it was to make
 * durable is lost unless it is written again, although later syncs succeed: as a kernel does it. What is replaced or deleted is kept as a link in POWER_LOSS_GRAVES.
 *
 * Memory maps, copies inside the kernel and I/O of the kernel's own are not seen: copies are refused, so that callers
 * fall back to reading and writing. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_FDS 65536
#define MAX_PATH 4096

struct header {
    uint32_t type;
    uint32_t payload;
    uint64_t inode;
    uint64_t a;
    uint64_t b;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned char tracked[MAX_FDS];
static const char *directory;
static const char *graves;
static int log_fd = -1;
static uint64_t records;
static uint64_t grave;
static long fails;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void fail(const char *what) {
    dprintf(2, "power loss shim: %s: %s\n", what, strerror(errno));
    abort();
}

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("POWER_LOSS_LOG");
    directory = getenv("POWER_LOSS_DIRECTORY");
    graves = getenv("POWER_LOSS_GRAVES");
    if (getenv("POWER_LOSS_FAILS")) fails = atol(getenv("POWER_LOSS_FAILS"));
    if (!path || !directory || !graves) {
        directory = NULL;
        return;
    }
    log_fd = REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0) fail("log");
}

static int is_below(const char *path) {
    if (!directory || !path) return 0;
    size_t length = strlen(directory);
    return !strncmp(path, directory, length) && (path[length] == '/' || path[length] == 0);
}

static int is_tracked(int fd) { return fd >= 0 && fd < MAX_FDS && tracked[fd]; }

/* With the lock held. */
static void record(char type, uint64_t inode, uint64_t a, uint64_t b, const void *payload, uint32_t length) {
    struct header header = {(uint32_t)type, length, inode, a, b};
    struct iovec parts[2] = {{&header, sizeof header}, {(void *)payload, length}};
    if (REAL(writev)(log_fd, parts, 2) != (ssize_t)(sizeof header + length)) fail("writing the log");
    records++;
}

static uint64_t inode_of(const char *path) {
    struct stat found;
    return lstat(path, &found) ? 0 : found.st_ino;
}

static uint64_t parent_of(const char *path) {
    char parent[MAX_PATH];
    snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    if (!slash) return 0;
    *slash = 0;
    return inode_of(parent);
}

/* Keeps what a name stands for. Tells the number of its grave, or 0 if it stands for nothing. */
static uint64_t bury(const char *path) {
    struct stat found;
    if (lstat(path, &found) || S_ISDIR(found.st_mode)) return 0;
    char target[MAX_PATH];
    grave++;
    snprintf(target, sizeof target, "%s/%d-%llu", graves, (int)getpid(), (unsigned long long)grave);
    if (link(path, target)) fail("keeping a file");
    return grave;
}

/* What is about to be overwritten, as far as it is there. */
static void record_write(int fd, uint64_t offset, uint64_t length) {
    struct stat found;
    if (fstat(fd, &found)) fail("stat");
    uint64_t size = (uint64_t)found.st_size;
    uint64_t there = offset >= size ? 0 : size - offset < length ? size - offset : length;
    char path[64];
    char *old = malloc(there + 1);
    if (!old) fail("memory");
    if (there) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        int reader = REAL(open)(path, O_RDONLY | O_CLOEXEC);
        if (reader < 0 || pread(reader, old, there, (off_t)offset) != (ssize_t)there) fail("reading what was there");
        REAL(close)(reader);
    }
    record('W', found.st_ino, offset, length, old, (uint32_t)there);
    free(old);
}

static uint64_t position(int fd) {
    if (fcntl(fd, F_GETFL) & O_APPEND) {
        struct stat found;
        if (fstat(fd, &found)) fail("stat");
        return (uint64_t)found.st_size;
    }
    return (uint64_t)lseek(fd, 0, SEEK_CUR);
}

ssize_t write(int fd, const void *bytes, size_t length) {
    if (!is_tracked(fd)) return REAL(write)(fd, bytes, length);
    pthread_mutex_lock(&lock);
    record_write(fd, position(fd), length);
    ssize_t outcome = REAL(write)(fd, bytes, length);
    pthread_mutex_unlock(&lock);
    return outcome;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (!is_tracked(fd)) return REAL(writev)(fd, parts, count);
    uint64_t length = 0;
    for (int part = 0; part < count; part++) length += parts[part].iov_len;
    pthread_mutex_lock(&lock);
    record_write(fd, position(fd), length);
    ssize_t outcome = REAL(writev)(fd, parts, count);
    pthread_mutex_unlock(&lock);
    return outcome;
}

static ssize_t pwrite_at(int fd, const void *bytes, size_t length, off_t offset) {
    if (!is_tracked(fd)) return REAL(pwrite)(fd, bytes, length, offset);
    pthread_mutex_lock(&lock);
    record_write(fd, (uint64_t)offset, length);
    ssize_t outcome = REAL(pwrite)(fd, bytes, length, offset);
    pthread_mutex_unlock(&lock);
    return outcome;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) { return pwrite_at(fd, bytes, length, offset); }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t offset) { return pwrite_at(fd, bytes, length, offset); }

static int opened(int at, const char *path, int flags, mode_t mode) {
    if (!is_below(path)) return REAL(openat)(at, path, flags, mode);
    pthread_mutex_lock(&lock);
    struct stat before;
    int was_there = !stat(path, &before);
    if (was_there && (flags & O_TRUNC) && before.st_size > 0) {
        int old = REAL(open)(path, O_RDONLY | O_CLOEXEC);
        if (old >= 0) {
            record_write(old, 0, (uint64_t)before.st_size);
            REAL(close)(old);
        }
    }
    int fd = REAL(openat)(at, path, flags, mode);
    if (fd >= 0 && fd < MAX_FDS) {
        tracked[fd] = 1;
        if (!was_there) {
            struct stat made;
            if (fstat(fd, &made)) fail("stat");
            record('C', made.st_ino, parent_of(path), 0, path, (uint32_t)strlen(path));
        }
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

#define MODE(flags)                                     \
    mode_t mode = 0;                                    \
    if (flags & (O_CREAT | __O_TMPFILE)) {              \
        va_list rest;                                   \
        va_start(rest, flags);                          \
        mode = va_arg(rest, mode_t);                    \
        va_end(rest);                                   \
    }

int open(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) return opened(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags) return opened(at, path, flags, mode); }

int close(int fd) {
    if (is_tracked(fd)) tracked[fd] = 0;
    return REAL(close)(fd);
}

static int is_journal(int fd) {
    char link[64], path[MAX_PATH];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path);
    return length > 4 && !memcmp(path + length - 4, ".jnl", 4);
}

static int synced(int fd, int may_fail) {
    struct stat found;
    if (fstat(fd, &found)) return -1;
    pthread_mutex_lock(&lock);
    int failed = may_fail && fails > 0 && is_journal(fd) && --fails == 0;
    record(failed ? 'F' : 'S', found.st_ino, records, 0, "", 0);
    pthread_mutex_unlock(&lock);
    if (!failed) return 0;
    errno = EIO;
    return -1;
}

int fsync(int fd) { return is_tracked(fd) ? synced(fd, 0) : REAL(fsync)(fd); }
int fdatasync(int fd) { return is_tracked(fd) ? synced(fd, 1) : REAL(fdatasync)(fd); }

static int renamed(const char *from, const char *to, int (*real)(int, const char *, int, const char *, unsigned), unsigned flags) {
    if (!is_below(from)) return real(AT_FDCWD, from, AT_FDCWD, to, flags);
    char both[2 * MAX_PATH];
    pthread_mutex_lock(&lock);
    int from_length = snprintf(both, MAX_PATH, "%s", from);
    int to_length = snprintf(both + from_length + 1, MAX_PATH, "%s", to);
    record('R', inode_of(from), parent_of(to), bury(to), both, (uint32_t)(from_length + 1 + to_length));
    int outcome = real(AT_FDCWD, from, AT_FDCWD, to, flags);
    pthread_mutex_unlock(&lock);
    return outcome;
}

int rename(const char *from, const char *to) { return renamed(from, to, REAL(renameat2), 0); }
int renameat(int a, const char *from, int b, const char *to) {
    (void)a, (void)b;
    return renamed(from, to, REAL(renameat2), 0);
}
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
    (void)a, (void)b;
    return renamed(from, to, REAL(renameat2), flags);
}

static int unlinked(int at, const char *path, int flags) {
    if (!is_below(path) || (flags & AT_REMOVEDIR)) return REAL(unlinkat)(at, path, flags);
    pthread_mutex_lock(&lock);
    record('U', inode_of(path), parent_of(path), bury(path), path, (uint32_t)strlen(path));
    int outcome = REAL(unlinkat)(at, path, flags);
    pthread_mutex_unlock(&lock);
    return outcome;
}

int unlink(const char *path) { return unlinked(AT_FDCWD, path, 0); }
int unlinkat(int at, const char *path, int flags) { return unlinked(at, path, flags); }

int mkdir(const char *path, mode_t mode) {
    if (!is_below(path)) return REAL(mkdir)(path, mode);
    pthread_mutex_lock(&lock);
    int outcome = REAL(mkdir)(path, mode);
    if (!outcome) record('M', inode_of(path), parent_of(path), 0, path, (uint32_t)strlen(path));
    pthread_mutex_unlock(&lock);
    return outcome;
}

ssize_t copy_file_range(int in, off_t *in_at, int out, off_t *out_at, size_t length, unsigned flags) {
    (void)in, (void)in_at, (void)out, (void)out_at, (void)length, (void)flags;
    errno = ENOSYS;
    return -1;
}

ssize_t sendfile(int out, int in, off_t *offset, size_t count) {
    (void)out, (void)in, (void)offset, (void)count;
    errno = EINVAL;
    return -1;
}

ssize_t sendfile64(int out, int in, off_t *offset, size_t count) { return sendfile(out, in, offset, count); }
