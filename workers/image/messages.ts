/** The messages of an image program, which makes pictures fit the model. Types only. */
import type { ImageType } from '../../src/shared/image-facts.js';

export interface ImageRequest {
  bytes: Uint8Array;
  /** Pixels of the longer side. */
  maxSide: number;
  maxPixels: number;
  /** Of the answer, where another format can reach it. */
  maxBytes: number;
}

export type ImageAnswer =
  /** Once. `why`: sharp cannot be loaded, so there is nothing to ask. */
  | { type: 'ready'; why?: string }
  | { type: 'made'; bytes: Uint8Array; mimeType: ImageType }
  /** `why` is the decoder's word. */
  | { type: 'bad'; why: string };
