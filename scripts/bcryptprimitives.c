/* For Wine before version 9, which has no bcryptprimitives.dll: the one function of it that Rust's
 * standard library imports. Built and used by portable.sh. */
#include <windows.h>

/* RtlGenRandom, by the name under which advapi32.dll exports it. */
BOOLEAN NTAPI SystemFunction036(PVOID to, ULONG bytes);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE to, SIZE_T bytes)
{
    for (; bytes > MAXLONG; to += MAXLONG, bytes -= MAXLONG)
        if (!SystemFunction036(to, MAXLONG))
            return FALSE;
    return SystemFunction036(to, (ULONG)bytes);
}
