/* A disk whose syncs fail, for a process that this is preloaded into (tests/ledger/fsync.rs builds it).
 *
 * While the file `fail` lies in the folder that COFFER_DISK names, fsync and fdatasync give EIO; a file `once` makes the
 * next one fail, and is gone with it. As on Linux, a failed sync takes the pages that it was for as clean: a later one that
 * goes well does not write them, but they are still read.
 *
 * Of a SQLite database and its write-ahead log the folder holds what a power cut would leave: only what a sync that went
 * well has written, page by page. What was lost by a failed one is kept in a file too, so that it outlives the process.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096
#define PAGES (1 << 16)

struct kept {
    const char *end;
    unsigned char dirty[PAGES];
    unsigned char *lost;
};

static struct kept files[] = { { .end = ".db" }, { .end = ".db-wal" } };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static const char *folder(void) { return getenv("COFFER_DISK"); }

static void die(const char *what) {
    perror(what);
    abort();
}

static void beside(char *path, const char *name, const char *end) {
    if (snprintf(path, PATH_MAX, "%s/%s%s", folder(), name, end) >= PATH_MAX)
        die("a long path");
}

static int ends(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* The file that is kept under this name, made ready: at first all of it may be on its way, but for what was lost. */
static struct kept *named(const char *path) {
    if (!folder())
        return NULL;
    for (size_t at = 0; at < 2; at++) {
        struct kept *file = &files[at];
        if (!ends(path, file->end))
            continue;
        if (!file->lost) {
            char lost[PATH_MAX];
            beside(lost, "lost", file->end);
            int fd = open(lost, O_RDWR | O_CREAT, 0600);
            if (fd < 0 || ftruncate(fd, PAGES) != 0)
                die("lost");
            file->lost = mmap(NULL, PAGES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
            if (file->lost == MAP_FAILED)
                die("lost");
            close(fd);
            for (int page = 0; page < PAGES; page++)
                file->dirty[page] = !file->lost[page];
        }
        return file;
    }
    return NULL;
}

static struct kept *of(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return NULL;
    path[length] = 0;
    return named(path);
}

static void wrote(int fd, off_t offset, ssize_t length) {
    if (length <= 0)
        return;
    pthread_mutex_lock(&lock);
    struct kept *file = of(fd);
    for (off_t page = offset / PAGE; file && page <= (offset + length - 1) / PAGE; page++) {
        if (page >= PAGES)
            die("a large file");
        file->dirty[page] = 1;
        file->lost[page] = 0;
    }
    pthread_mutex_unlock(&lock);
}

static int fails(void) {
    char path[PATH_MAX];
    if (!folder())
        return 0;
    beside(path, "once", "");
    if (unlink(path) == 0)
        return 1;
    beside(path, "fail", "");
    return access(path, F_OK) == 0;
}

static void keep(int fd, struct kept *file) {
    ssize_t (*real)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
    char path[PATH_MAX], page[PAGE];
    struct stat status;
    if (fstat(fd, &status) != 0)
        die("fstat");
    beside(path, "kept", file->end);
    int kept = open(path, O_RDWR | O_CREAT, 0600);
    if (kept < 0)
        die("kept");
    for (off_t at = 0; at * PAGE < status.st_size; at++) {
        if (!file->dirty[at])
            continue;
        ssize_t length = pread(fd, page, PAGE, at * PAGE);
        if (length > 0 && real(kept, page, length, at * PAGE) != length)
            die("kept");
    }
    memset(file->dirty, 0, PAGES);
    close(kept);
}

static int sync_as(const char *name, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int error = errno;
    pthread_mutex_lock(&lock);
    struct kept *file = of(fd);
    int failed = fails();
    if (file && failed) {
        for (int page = 0; page < PAGES; page++)
            file->lost[page] |= file->dirty[page];
        memset(file->dirty, 0, PAGES);
    } else if (file) {
        keep(fd, file);
    }
    pthread_mutex_unlock(&lock);
    if (failed) {
        errno = EIO;
        return -1;
    }
    errno = error;
    return file ? 0 : real(fd);
}

int fsync(int fd) { return sync_as("fsync", fd); }

int fdatasync(int fd) { return sync_as("fdatasync", fd); }

ssize_t pwrite64(int fd, const void *from, size_t length, off64_t offset) {
    ssize_t (*real)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
    ssize_t done = real(fd, from, length, offset);
    wrote(fd, offset, done);
    return done;
}

ssize_t pwrite(int fd, const void *from, size_t length, off_t offset) { return pwrite64(fd, from, length, offset); }

ssize_t write(int fd, const void *from, size_t length) {
    ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    off_t offset = folder() ? lseek(fd, 0, SEEK_CUR) : -1;
    ssize_t done = real(fd, from, length);
    if (offset >= 0)
        wrote(fd, offset, done);
    return done;
}

/* Cut off at once and for good: the worst that can happen. */
static void cut(int fd, off_t length) {
    char path[PATH_MAX];
    pthread_mutex_lock(&lock);
    struct kept *file = of(fd);
    if (file) {
        for (off_t page = (length + PAGE - 1) / PAGE; page < PAGES; page++)
            file->dirty[page] = file->lost[page] = 0;
        beside(path, "kept", file->end);
        if (truncate(path, length) != 0 && errno != ENOENT)
            die("kept");
    }
    pthread_mutex_unlock(&lock);
}

int ftruncate64(int fd, off64_t length) {
    int (*real)(int, off64_t) = dlsym(RTLD_NEXT, "ftruncate64");
    int done = real(fd, length);
    if (done == 0)
        cut(fd, length);
    return done;
}

int unlink(const char *path) {
    int (*real)(const char *) = dlsym(RTLD_NEXT, "unlink");
    int done = real(path);
    if (done != 0 || !folder() || !ends(path, ".db-wal") || strncmp(path, folder(), strlen(folder())) == 0)
        return done;
    char kept[PATH_MAX];
    pthread_mutex_lock(&lock);
    struct kept *file = named(path);
    memset(file->dirty, 0, PAGES);
    memset(file->lost, 0, PAGES);
    beside(kept, "kept", file->end);
    if (real(kept) != 0 && errno != ENOENT)
        die("kept");
    pthread_mutex_unlock(&lock);
    return done;
}
