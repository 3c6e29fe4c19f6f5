import type { TraceSegment } from "#core/tracing";

/** Segments that were stored a moment ago: the other hosts' parts of their flows are about to come. Segments never change. */
export class SegmentCache {
  private readonly capacity: number;
  private recent = new Map<string, TraceSegment>();
  private older = new Map<string, TraceSegment>();

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  put(segment: TraceSegment): void {
    this.recent.set(segment.segmentId, segment);
    if (this.recent.size < this.capacity) return;
    this.older = this.recent;
    this.recent = new Map();
  }

  get(segmentId: string): TraceSegment | undefined {
    return this.recent.get(segmentId) ?? this.older.get(segmentId);
  }
}
