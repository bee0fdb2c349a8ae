/**
 * Paths in the guest's root as the guest will see them: symbolic links, absolute ones too, never
 * lead out of it. Used before a start, to find the program; the guest's own look-ups are the
 * library OS's. Paths in the root are byte strings (base/byte-string.ts).
 */
import { lstatSync, readlinkSync } from 'node:fs';

/** As in Linux (MAXSYMLINKS). */
const LINKS_MAX = 40;

export type Found =
  /** `path` in the root, without links; `hostPath` is the same place on this machine. */
  | {
      readonly kind: 'found';
      readonly path: string;
      readonly hostPath: Buffer;
      readonly isDirectory: boolean;
      readonly isFile: boolean;
      readonly mode: number;
    }
  | { readonly kind: 'missing' }
  | { readonly kind: 'failed'; readonly why: string };

/** Finds `path`, from `cwd` if it is relative, both in the root. */
export function findInRoot(root: string, cwd: string, path: string): Found {
  const left = (path.startsWith('/') ? path : `${cwd}/${path}`).split('/');
  let at: string[] = [];
  let linkCount = 0;
  while (left.length > 0) {
    const name = left.shift() as string;
    if (name === '.' || name === '') continue;
    if (name === '..') {
      at = at.slice(0, -1);
      continue;
    }
    const here = [...at, name];
    const target = linkTarget(hostPathOf(root, here));
    if (target.kind !== 'link') {
      if (target.kind === 'missing' || target.kind === 'failed') return target;
      at = here;
      continue;
    }
    linkCount += 1;
    if (linkCount > LINKS_MAX) return { kind: 'failed', why: 'too many symbolic links' };
    if (target.path.startsWith('/')) at = [];
    left.unshift(...target.path.split('/'));
  }
  return describe(root, at);
}

function hostPathOf(root: string, names: readonly string[]): Buffer {
  const folder = Buffer.from(root === '/' ? '' : root);
  return Buffer.concat([folder, Buffer.from(`/${names.join('/')}`, 'latin1')]);
}

type Link = { readonly kind: 'link'; readonly path: string } | { readonly kind: 'other' };

function linkTarget(hostPath: Buffer): Link | Exclude<Found, { kind: 'found' }> {
  return attempt(() => {
    if (!lstatSync(hostPath).isSymbolicLink()) return { kind: 'other' } as const;
    return { kind: 'link', path: readlinkSync(hostPath, 'buffer').toString('latin1') } as const;
  });
}

function describe(root: string, names: readonly string[]): Found {
  const hostPath = hostPathOf(root, names);
  return attempt(() => {
    const stat = lstatSync(hostPath);
    return {
      kind: 'found',
      path: `/${names.join('/')}`,
      hostPath,
      isDirectory: stat.isDirectory(),
      isFile: stat.isFile(),
      mode: stat.mode & 0o7777,
    } as const;
  });
}

function attempt<T>(look: () => T): T | { kind: 'missing' } | { kind: 'failed'; why: string } {
  try {
    return look();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    if (code === 'ENOENT' || code === 'ENOTDIR') return { kind: 'missing' };
    return { kind: 'failed', why: code };
  }
}
