/* Stands between a program and libc's calls that change files: counts them, lets the Nth fail, and logs them.
 *
 * Loaded with LD_PRELOAD into a program and all its children. FAULTS_CONTROL names a file of one `struct control`, which
 * all of them map: so "the Nth call" is the Nth of all processes together. Only paths below `root` count. Each call,
 * its effect and its log record are one critical section of all processes, so the order of the log is the order in
 * which things happened. Calls are made as system calls, never through the functions that are replaced here. Not seen:
 * what stdio writes inside libc (git's short text files), and memory that is mapped (SQLite's -shm).
 *
 * The log (FAULTS_LOG) is a sequence of `struct record`, each followed by path, second path and data; `swhkit` knows
 * nothing of all this. `faults/shim.py` is the other end.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum kind { NONE, FAIL_EIO, FAIL_ENOSPC, SHORT_WRITE, FULL_DISK };
enum op { OPEN = 1, WRITE, SYNC, RENAME, LINK, UNLINK, RMDIR, TRUNCATE, MKDIR, SYMLINK };

struct control {
    int64_t count;   /* calls so far */
    int64_t fail_at; /* the number of the call that fails, from 1 */
    int64_t kind;    /* enum kind */
    int64_t hits;    /* calls that were made to fail */
    int64_t hit_op;  /* what the first of them was */
    int64_t logging;
    char root[PATH_MAX];
    char hit_path[PATH_MAX];
    pthread_mutex_t mutex;
};

struct record {
    int64_t op, pid, inode, offset, size, result, created;
    int64_t path_size, other_size, data_size;
};

static struct control *control;
static const char *log_path;

static int raw_open(const char *path, int flags, int mode) { return syscall(SYS_openat, AT_FDCWD, path, flags, mode); }

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("FAULTS_CONTROL");
    log_path = getenv("FAULTS_LOG");
    if (name == NULL) return;
    int saved = errno, fd = raw_open(name, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0) return;
    void *map = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    errno = saved;
    if (map != MAP_FAILED) control = map;
}

/* Called once by the one that makes the control file; the mutex outlives holders that are killed. */
EXPORT void faults_prepare(void) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&control->mutex, &attributes);
}

static void enter(void) {
    if (pthread_mutex_lock(&control->mutex) == EOWNERDEAD) pthread_mutex_consistent(&control->mutex);
}

static void leave(void) { pthread_mutex_unlock(&control->mutex); }

/* Makes `path` (relative to `at`) absolute and takes out "." and ".."; links are not followed. */
static int whole_path(int at, const char *path, char *out) {
    char text[2 * PATH_MAX] = "";
    if (path[0] != '/') {
        char link[64];
        if (at == AT_FDCWD) strcpy(link, "/proc/self/cwd");
        else snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        ssize_t size = syscall(SYS_readlinkat, AT_FDCWD, link, text, PATH_MAX - 1);
        if (size < 0) return 0;
        text[size] = 0;
    }
    if (strlen(text) + strlen(path) + 2 > sizeof text) return 0;
    strcat(strcat(text, "/"), path);
    size_t used = 0;
    for (char *save = NULL, *part = strtok_r(text, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
        if (strcmp(part, ".") == 0) continue;
        if (strcmp(part, "..") == 0) {
            while (used && out[--used] != '/') {}
            continue;
        }
        size_t size = strlen(part);
        if (used + size + 2 > PATH_MAX) return 0;
        out[used++] = '/';
        memcpy(out + used, part, size);
        used += size;
    }
    out[used] = 0;
    return 1;
}

static int below_root(const char *path) {
    size_t size = strlen(control->root);
    return size && strncmp(path, control->root, size) == 0 && (path[size] == '/' || path[size] == 0);
}

/* Whether the call on a path is one of ours; `out` is then the whole path. */
static int ours(int at, const char *path, char *out) {
    if (control == NULL || control->root[0] == 0 || path == NULL) return 0;
    int saved = errno, found = whole_path(at, path, out) && below_root(out);
    errno = saved;
    return found;
}

static int ours_fd(int fd, char *out) {
    if (control == NULL || control->root[0] == 0) return 0;
    char link[64];
    int saved = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = syscall(SYS_readlinkat, AT_FDCWD, link, out, PATH_MAX - 1);
    errno = saved;
    if (size <= 0) return 0;
    out[size] = 0;
    return below_root(out);
}

static int64_t inode_of(int fd) {
    struct stat state;
    int saved = errno, found = fstat(fd, &state) == 0;
    errno = saved;
    return found ? (int64_t)state.st_ino : 0;
}

static int64_t inode_at(const char *path) {
    struct stat state;
    int saved = errno, found = lstat(path, &state) == 0;
    errno = saved;
    return found ? (int64_t)state.st_ino : 0;
}

static void note(enum op op, int64_t inode, int64_t offset, int64_t size, int64_t result, int64_t created,
                 const char *path, const char *other, const struct iovec *data, int pieces, int64_t data_size) {
    if (!control->logging || log_path == NULL) return;
    int saved = errno, fd = raw_open(log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    struct record record = {op, getpid(), inode, offset, size, result, created,
                            strlen(path), other ? strlen(other) : 0, data_size};
    syscall(SYS_write, fd, &record, sizeof record);
    syscall(SYS_write, fd, path, record.path_size);
    if (other) syscall(SYS_write, fd, other, record.other_size);
    for (int i = 0; i < pieces && data_size > 0; i++) {
        size_t part = data[i].iov_len < (size_t)data_size ? data[i].iov_len : (size_t)data_size;
        data_size -= syscall(SYS_write, fd, data[i].iov_base, part);
    }
    syscall(SYS_close, fd);
    errno = saved;
}

/* Counts a call. 0: let it be; 1: it fails (errno is set); 2: half of it is done. */
static int fate(enum op op, const char *path, int64_t size) {
    int64_t number = ++control->count;
    int kind = control->kind, hit = 0, error = EIO;
    if (kind == FAIL_EIO || kind == FAIL_ENOSPC) {
        hit = number == control->fail_at;
        error = kind == FAIL_EIO ? EIO : ENOSPC;
    } else if (kind == SHORT_WRITE) {
        hit = number == control->fail_at && op == WRITE && size > 1 ? 2 : 0;
    } else if (kind == FULL_DISK) {
        int grows = op == OPEN || op == WRITE || op == LINK || op == MKDIR || op == SYMLINK || op == TRUNCATE;
        hit = number >= control->fail_at && grows;
        error = ENOSPC;
    }
    if (hit && control->hits++ == 0) {
        control->hit_op = op;
        strncpy(control->hit_path, path, PATH_MAX - 1);
    }
    if (hit == 1) errno = error;
    return hit;
}

/* -- opening ----------------------------------------------------------------------------------------------------- */

static int do_open(int at, const char *path, int flags, mode_t mode) {
    char whole[PATH_MAX];
    int changes = (flags & (O_CREAT | O_TRUNC)) != 0 || (flags & O_ACCMODE) != O_RDONLY;
    if ((flags & O_TMPFILE) == O_TMPFILE || !changes || !ours(at, path, whole))
        return syscall(SYS_openat, at, path, flags, mode);
    enter();
    int64_t before = inode_at(whole);
    int fd = -1;
    /* on a full disk a file that is there can still be opened */
    if (control->kind == FULL_DISK && before) {
        control->count++;
        fd = syscall(SYS_openat, at, path, flags, mode);
    } else if (fate(OPEN, whole, 0) == 0) {
        fd = syscall(SYS_openat, at, path, flags, mode);
    }
    if (fd >= 0 && (before == 0 || (flags & O_TRUNC)))
        note(OPEN, inode_of(fd), 0, flags & O_TRUNC ? 0 : -1, fd, before == 0, whole, NULL, NULL, 0, 0);
    leave();
    return fd;
}

static mode_t mode_of(int flags, va_list rest) {
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? (mode_t)va_arg(rest, int) : 0;
}

#define OPENS(name) \
    EXPORT int name(const char *path, int flags, ...) { \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = mode_of(flags, rest); \
        va_end(rest); \
        return do_open(AT_FDCWD, path, flags, mode); \
    }
#define OPENS_AT(name) \
    EXPORT int name(int at, const char *path, int flags, ...) { \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = mode_of(flags, rest); \
        va_end(rest); \
        return do_open(at, path, flags, mode); \
    }
OPENS(open)
OPENS(open64)
OPENS_AT(openat)
OPENS_AT(openat64)
EXPORT int __open_2(const char *path, int flags) { return do_open(AT_FDCWD, path, flags, 0); }
EXPORT int __open64_2(const char *path, int flags) { return do_open(AT_FDCWD, path, flags, 0); }
EXPORT int __openat_2(int at, const char *path, int flags) { return do_open(at, path, flags, 0); }
EXPORT int __openat64_2(int at, const char *path, int flags) { return do_open(at, path, flags, 0); }
EXPORT int creat(const char *path, mode_t mode) { return do_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
EXPORT int creat64(const char *path, mode_t mode) { return creat(path, mode); }

/* stdio opens inside libc: the opening is seen, the writing is not */
static FILE *do_fopen(const char *name, const char *path, const char *mode) {
    FILE *(*real)(const char *, const char *) = (FILE *(*)(const char *, const char *))dlsym(RTLD_NEXT, name);
    char whole[PATH_MAX];
    if (strpbrk(mode, "wa+") == NULL || !ours(AT_FDCWD, path, whole)) return real(path, mode);
    enter();
    int64_t before = inode_at(whole);
    FILE *file = fate(OPEN, whole, 0) == 0 ? real(path, mode) : NULL;
    if (file && (before == 0 || mode[0] == 'w'))
        note(OPEN, inode_of(fileno(file)), 0, mode[0] == 'w' ? 0 : -1, 0, before == 0, whole, NULL, NULL, 0, 0);
    leave();
    return file;
}
EXPORT FILE *fopen(const char *path, const char *mode) { return do_fopen("fopen", path, mode); }
EXPORT FILE *fopen64(const char *path, const char *mode) { return do_fopen("fopen64", path, mode); }

/* -- writing ----------------------------------------------------------------------------------------------------- */

static ssize_t really_write(int fd, const struct iovec *data, int pieces, int64_t offset) {
    return offset < 0 ? syscall(SYS_writev, fd, data, pieces) : syscall(SYS_pwritev, fd, data, pieces, offset, 0);
}

static ssize_t do_write(int fd, const struct iovec *data, int pieces, int64_t offset) {
    char path[PATH_MAX];
    if (!ours_fd(fd, path)) return really_write(fd, data, pieces, offset);
    int64_t size = 0;
    for (int i = 0; i < pieces; i++) size += data[i].iov_len;
    enter();
    ssize_t done = -1;
    int64_t place = offset;
    if (place < 0) {
        int flags = fcntl(fd, F_GETFL);
        struct stat state;
        fstat(fd, &state);
        place = flags & O_APPEND ? state.st_size : syscall(SYS_lseek, fd, 0L, SEEK_CUR);
    }
    int fortune = fate(WRITE, path, size);
    if (fortune == 0) {
        done = really_write(fd, data, pieces, offset);
    } else if (fortune == 2) {
        struct iovec half = {data[0].iov_base, data[0].iov_len > 1 ? data[0].iov_len / 2 : data[0].iov_len};
        done = really_write(fd, &half, 1, offset);
    }
    if (done > 0) note(WRITE, inode_of(fd), place, size, done, 0, path, NULL, data, pieces, done);
    leave();
    return done;
}

EXPORT ssize_t write(int fd, const void *data, size_t size) {
    struct iovec one = {(void *)data, size};
    return do_write(fd, &one, 1, -1);
}
EXPORT ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    struct iovec one = {(void *)data, size};
    return do_write(fd, &one, 1, offset);
}
EXPORT ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset) { return pwrite(fd, data, size, offset); }
EXPORT ssize_t writev(int fd, const struct iovec *data, int pieces) { return do_write(fd, data, pieces, -1); }
EXPORT ssize_t pwritev(int fd, const struct iovec *data, int pieces, off_t offset) {
    return do_write(fd, data, pieces, offset);
}
EXPORT ssize_t pwritev64(int fd, const struct iovec *data, int pieces, off_t offset) {
    return do_write(fd, data, pieces, offset);
}

static int do_truncate(int fd, off_t size) {
    char path[PATH_MAX];
    if (!ours_fd(fd, path)) return syscall(SYS_ftruncate, fd, size);
    enter();
    int done = fate(TRUNCATE, path, size) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
    if (done == 0) note(TRUNCATE, inode_of(fd), 0, size, 0, 0, path, NULL, NULL, 0, 0);
    leave();
    return done;
}
EXPORT int ftruncate(int fd, off_t size) { return do_truncate(fd, size); }
EXPORT int ftruncate64(int fd, off_t size) { return do_truncate(fd, size); }

static int do_sync(long call, int fd) {
    char path[PATH_MAX];
    if (!ours_fd(fd, path)) return syscall(call, fd);
    enter();
    int done = fate(SYNC, path, 0) ? -1 : (int)syscall(call, fd);
    if (done == 0) note(SYNC, inode_of(fd), 0, 0, 0, 0, path, NULL, NULL, 0, 0);
    leave();
    return done;
}
EXPORT int fsync(int fd) { return do_sync(SYS_fsync, fd); }
EXPORT int fdatasync(int fd) { return do_sync(SYS_fdatasync, fd); }

/* -- names ------------------------------------------------------------------------------------------------------- */

static int do_rename(int at, const char *path, int other_at, const char *other, unsigned flags) {
    char from[PATH_MAX], to[PATH_MAX];
    if (!ours(at, path, from) | !ours(other_at, other, to))
        return syscall(SYS_renameat2, at, path, other_at, other, flags);
    enter();
    int done = fate(RENAME, to, 0) ? -1 : (int)syscall(SYS_renameat2, at, path, other_at, other, flags);
    if (done == 0) note(RENAME, inode_at(to), 0, 0, 0, 0, from, to, NULL, 0, 0);
    leave();
    return done;
}
EXPORT int rename(const char *path, const char *other) { return do_rename(AT_FDCWD, path, AT_FDCWD, other, 0); }
EXPORT int renameat(int at, const char *path, int other_at, const char *other) {
    return do_rename(at, path, other_at, other, 0);
}
EXPORT int renameat2(int at, const char *path, int other_at, const char *other, unsigned flags) {
    return do_rename(at, path, other_at, other, flags);
}

static int do_link(int at, const char *path, int other_at, const char *other, int flags) {
    char from[PATH_MAX] = "", to[PATH_MAX];
    if (!ours(other_at, other, to)) return syscall(SYS_linkat, at, path, other_at, other, flags);
    ours(at, path, from);
    enter();
    int done = fate(LINK, to, 0) ? -1 : (int)syscall(SYS_linkat, at, path, other_at, other, flags);
    if (done == 0) note(LINK, inode_at(to), 0, 0, 0, 0, from, to, NULL, 0, 0);
    leave();
    return done;
}
EXPORT int link(const char *path, const char *other) { return do_link(AT_FDCWD, path, AT_FDCWD, other, 0); }
EXPORT int linkat(int at, const char *path, int other_at, const char *other, int flags) {
    return do_link(at, path, other_at, other, flags);
}

static int do_unlink(int at, const char *path, int flags) {
    char whole[PATH_MAX];
    enum op op = flags & AT_REMOVEDIR ? RMDIR : UNLINK;
    if (!ours(at, path, whole)) return syscall(SYS_unlinkat, at, path, flags);
    enter();
    int64_t inode = inode_at(whole);
    int done = fate(op, whole, 0) ? -1 : (int)syscall(SYS_unlinkat, at, path, flags);
    if (done == 0) note(op, inode, 0, 0, 0, 0, whole, NULL, NULL, 0, 0);
    leave();
    return done;
}
EXPORT int unlink(const char *path) { return do_unlink(AT_FDCWD, path, 0); }
EXPORT int unlinkat(int at, const char *path, int flags) { return do_unlink(at, path, flags); }
EXPORT int rmdir(const char *path) { return do_unlink(AT_FDCWD, path, AT_REMOVEDIR); }

EXPORT int mkdirat(int at, const char *path, mode_t mode) {
    char whole[PATH_MAX];
    if (!ours(at, path, whole)) return syscall(SYS_mkdirat, at, path, mode);
    enter();
    int done = fate(MKDIR, whole, 0) ? -1 : (int)syscall(SYS_mkdirat, at, path, mode);
    if (done == 0) note(MKDIR, inode_at(whole), 0, 0, 0, 1, whole, NULL, NULL, 0, 0);
    leave();
    return done;
}
EXPORT int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

EXPORT int symlinkat(const char *target, int at, const char *path) {
    char whole[PATH_MAX];
    if (!ours(at, path, whole)) return syscall(SYS_symlinkat, target, at, path);
    enter();
    int done = fate(SYMLINK, whole, 0) ? -1 : (int)syscall(SYS_symlinkat, target, at, path);
    if (done == 0) note(SYMLINK, inode_at(whole), 0, 0, 0, 1, whole, target, NULL, 0, 0);
    leave();
    return done;
}
EXPORT int symlink(const char *target, const char *path) { return symlinkat(target, AT_FDCWD, path); }
