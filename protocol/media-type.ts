/** Media types of the files in packages, by extension. */

const MEDIA_TYPES: Readonly<Record<string, string>> = {
  yaml: 'application/yaml',
  yml: 'application/yaml',
  json: 'application/json',
  md: 'text/markdown',
  txt: 'text/plain',
  csv: 'text/csv',
  py: 'text/x-python',
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  gif: 'image/gif',
  // Never shown as a page: an SVG may hold scripts. Whoever serves it sets the sandbox.
  svg: 'image/svg+xml',
  tif: 'image/tiff',
  tiff: 'image/tiff',
  pdf: 'application/pdf',
  zip: 'application/zip',
}

/** The media type of a path; `application/octet-stream` where there is no better one. */
export function mediaTypeOf(path: string): string {
  const extension = path.slice(path.lastIndexOf('.') + 1).toLowerCase()
  return (
    (Object.hasOwn(MEDIA_TYPES, extension) && MEDIA_TYPES[extension]) || 'application/octet-stream'
  )
}
