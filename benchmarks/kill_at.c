/* Runs a function in a process of its own, and stops that at the N-th system call that writes below a folder,
   counted over all its threads and children. For Linux on x86-64.

   A filter in the kernel (seccomp) stops the process at those calls alone; the rest runs at full speed. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum kind { BYTES, HANDLE, AT, PATH };

/* The argument that says which file: a descriptor (BYTES and HANDLE), a folder's descriptor and a path (AT), a path. */
static const struct call { int number; enum kind kind; int argument; } CALLS[] = {
    {SYS_write, BYTES, 0}, {SYS_pwrite64, BYTES, 0}, {SYS_writev, BYTES, 0}, {SYS_pwritev, BYTES, 0},
    {SYS_pwritev2, BYTES, 0}, {SYS_sendfile, BYTES, 0}, {SYS_copy_file_range, BYTES, 2},
    {SYS_fallocate, BYTES, 0}, {SYS_ftruncate, HANDLE, 0}, {SYS_fsync, HANDLE, 0}, {SYS_fdatasync, HANDLE, 0},
    {SYS_fchmod, HANDLE, 0}, {SYS_openat, AT, 0}, {SYS_mkdirat, AT, 0}, {SYS_unlinkat, AT, 0},
    {SYS_renameat, AT, 2}, {SYS_renameat2, AT, 2}, {SYS_linkat, AT, 2}, {SYS_symlinkat, AT, 1},
    {SYS_fchmodat, AT, 0}, {SYS_open, PATH, 0}, {SYS_mkdir, PATH, 0}, {SYS_rmdir, PATH, 0}, {SYS_unlink, PATH, 0},
    {SYS_rename, PATH, 1}, {SYS_link, PATH, 1}, {SYS_symlink, PATH, 1}, {SYS_truncate, PATH, 0}, {SYS_chmod, PATH, 0},
};
enum { COUNT = sizeof CALLS / sizeof *CALLS };

static void die(const char *what) { perror(what); exit(125); }

static void filter_calls(void) {
    struct sock_filter filter[COUNT + 3] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
    for (int i = 0; i < COUNT; i++)
        filter[1 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CALLS[i].number, COUNT - i, 0);
    filter[COUNT + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[COUNT + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
    struct sock_fprog program = {COUNT + 3, filter};
    if (ptrace(PTRACE_TRACEME, 0, 0, 0)) die("ptrace");
    raise(SIGSTOP);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        die("seccomp");
}

static int text_of(pid_t pid, unsigned long address, char *text, size_t size) {
    struct iovec here = {text, size - 1}, there = {(void *)address, size - 1};
    ssize_t got = process_vm_readv(pid, &here, 1, &there, 1, 0);
    if (got < 0) { /* The text may end just before a page that is not there. */
        here.iov_len = there.iov_len = 4096 - address % 4096 < size - 1 ? 4096 - address % 4096 : size - 1;
        got = process_vm_readv(pid, &here, 1, &there, 1, 0);
    }
    text[got > 0 ? got : 0] = 0;
    return got > 0;
}

static int path_of(pid_t pid, long descriptor, char *path) {
    char link[64];
    if ((int)descriptor == AT_FDCWD) snprintf(link, sizeof link, "/proc/%d/cwd", pid);
    else snprintf(link, sizeof link, "/proc/%d/fd/%d", pid, (int)descriptor);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = 0;
    return length > 0;
}

static int below(pid_t pid, const struct call *call, struct user_regs_struct *regs, const char *folder) {
    unsigned long long *arguments[] = {&regs->rdi, &regs->rsi, &regs->rdx, &regs->r10, &regs->r8};
    static char path[2 * PATH_MAX], name[PATH_MAX];
    if (call->number == SYS_openat || call->number == SYS_open) {
        int flags = *arguments[call->kind == AT ? 2 : 1];
        if (!(flags & (O_CREAT | O_TRUNC))) return 0;
    }
    long descriptor = call->kind == PATH ? AT_FDCWD : (long)*arguments[call->argument];
    if (!path_of(pid, descriptor, path)) return 0;
    if (call->kind == AT || call->kind == PATH) {
        if (!text_of(pid, *arguments[call->argument + (call->kind == AT)], name, sizeof name)) return 0;
        if (name[0] == '/') strcpy(path, name);
        else { strcat(path, "/"); strcat(path, name); }
    }
    return !strncmp(path, folder, strlen(folder));
}

enum mode { COUNTING, BEFORE, HALF, FULL };

/* Half of the bytes of a write arrive. */
static void tear(pid_t pid, struct user_regs_struct *regs) {
    int status;
    if ((regs->orig_rax != SYS_write && regs->orig_rax != SYS_pwrite64) || regs->rdx < 2) return;
    regs->rdx /= 2;
    ptrace(PTRACE_SETREGS, pid, 0, regs);
    ptrace(PTRACE_SYSCALL, pid, 0, 0);
    waitpid(pid, &status, __WALL);
}

/* MODE: COUNTING lets it run; BEFORE kills all of it before the call number AT; HALF lets half of the bytes of
   that call arrive; FULL lets that and every later write of bytes fail as on a full disk.
   KINDS gets a letter a call, b where bytes are written, else o, and a zero byte; it has ROOM for so many.
   The command must not return. Returns its exit status, 128 and the signal's number where one ended it. */
int stopped_at(int mode, long at, const char *folder, void (*command)(void), char *kinds, long room) {
    long calls = 0;
    int status, result = 125, dying = 0;
    pid_t first = fork();
    if (!first) {
        filter_calls();
        command();
        _exit(125);
    }
    waitpid(first, &status, 0);
    if (ptrace(PTRACE_SETOPTIONS, first, 0, PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
               PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL)) die("options");
    ptrace(PTRACE_CONT, first, 0, 0);
    for (pid_t pid; (pid = waitpid(-1, &status, __WALL)) > 0;) {
        if (!WIFSTOPPED(status)) {
            if (pid == first) result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            continue;
        }
        int signal = WSTOPSIG(status), event = status >> 16;
        struct user_regs_struct regs;
        const struct call *call = CALLS;
        if (event != PTRACE_EVENT_SECCOMP || dying) {
            ptrace(PTRACE_CONT, pid, 0, event || signal == SIGTRAP || signal == SIGSTOP ? 0 : signal);
            continue;
        }
        if (ptrace(PTRACE_GETREGS, pid, 0, &regs)) continue;
        while (call < CALLS + COUNT && call->number != (int)regs.orig_rax) call++;
        if (call < CALLS + COUNT && below(pid, call, &regs, folder)) {
            if (calls < room - 1) kinds[calls] = call->kind == BYTES ? 'b' : 'o';
            calls++;
            if (mode == FULL && calls >= at && call->kind == BYTES) {
                regs.orig_rax = -1, regs.rax = -ENOSPC;
                ptrace(PTRACE_SETREGS, pid, 0, &regs);
            } else if ((mode == BEFORE || mode == HALF) && calls == at) {
                if (mode == HALF) tear(pid, &regs);
                dying = 1;
                kill(first, SIGKILL);
                continue;
            }
        }
        ptrace(PTRACE_CONT, pid, 0, 0);
    }
    kinds[calls < room - 1 ? calls : room - 1] = 0;
    return result;
}
