/**
 * Who of this process may try to change a node, one after the other: those who have met somebody else there. Whoever has not
 * goes ahead unasked, since most never meet anybody; so this keeps nobody from a node, and costs nothing until there is a
 * queue. Without it, of n who change one node at once each attempt of n − 1 is in vain, and the last may never come through.
 */
export class Turns {
  private readonly queues = new Map<string, Promise<void>>();

  /** Resolves, when those who asked before are through, with what is to be called at the end, once. */
  async take(path: string): Promise<() => void> {
    const before = this.queues.get(path);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.queues.set(path, promise);
    await before;
    return () => {
      if (this.queues.get(path) === promise) this.queues.delete(path);
      resolve();
    };
  }

  /** Paths at which somebody is or waits. */
  get size(): number {
    return this.queues.size;
  }
}
