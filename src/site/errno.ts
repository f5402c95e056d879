import { errnoOf, reasonOf, SiteError, type SiteErrorCode } from "../errors.ts"

const codeByErrno: Readonly<Record<string, SiteErrorCode>> = {
  ENOENT: "site/not-found",
  ENOTDIR: "site/not-found",
  ENOSPC: "site/full",
  EDQUOT: "site/full",
  EFBIG: "site/full",
  EACCES: "site/denied",
  EPERM: "site/denied",
  EROFS: "site/denied",
  ELOOP: "site/denied", // a symbolic link where O_NOFOLLOW met it
  EXDEV: "site/unsupported", // another file system is mounted below the root
  ENAMETOOLONG: "site/unsupported",
  EIO: "site/unavailable",
  ESTALE: "site/unavailable", // an NFS export that was replaced
  ENOTCONN: "site/unavailable", // a FUSE mount whose process died
  EHOSTDOWN: "site/unavailable",
  EHOSTUNREACH: "site/unavailable",
  ETIMEDOUT: "site/unavailable",
  ENODEV: "site/unavailable",
  ENXIO: "site/unavailable",
  EMFILE: "site/unavailable",
  ENFILE: "site/unavailable",
  EBUSY: "site/unavailable",
  EINTR: "site/unavailable",
}

const hintByCode: Partial<Readonly<Record<SiteErrorCode, string>>> = {
  "site/full": "free or add space at the site; the next run sends what is missing",
  "site/unavailable": "check the mount",
}

/** What a failed system call means for a site. A SiteError stays as it is, and so does a bug, which is no system call's failure. */
export function siteErrorOf(site: string, what: string, error: unknown): unknown {
  const errno = errnoOf(error)
  if (error instanceof SiteError || errno === undefined || !/^E[A-Z0-9]+$/.test(errno)) return error
  const code = codeByErrno[errno] ?? "site/unavailable"
  const hint = hintByCode[code]
  return new SiteError(site, code, `${what}: ${reasonOf(error)}`, { cause: error, ...(hint !== undefined && { hint }) })
}
