// Classes: our usage class for each price key of genai-prices. A key that is missing here stops the update.

/**
 * A key without a class of ours joins the class that its tokens are counted in: video joins images, cached images join cache
 * reads. Classes that the gateway does not meter yet keep a name of their own.
 */
export const CLASS_OF_KEY: Readonly<Record<string, string>> = {
  input_mtok: 'input',
  cache_read_mtok: 'cacheRead',
  cache_image_read_mtok: 'cacheRead',
  cache_write_mtok: 'cacheWrite5m',
  cache_write_1h_mtok: 'cacheWrite1h',
  output_mtok: 'output',
  output_reasoning_mtok: 'reasoningBeside',
  input_audio_mtok: 'audioInput',
  cache_audio_read_mtok: 'audioCacheRead',
  output_audio_mtok: 'audioOutput',
  input_image_mtok: 'imageInput',
  input_video_mtok: 'imageInput',
  output_image_mtok: 'imageOutput',
  output_video_mtok: 'imageOutput',
  web_searches_kcount: 'webSearches',
  storage_searches_kcount: 'fileSearches',
  requests_kcount: 'requests',
  audio_hours: 'audioSeconds',
  input_audio_hours: 'audioSeconds',
  input_document_kpages: 'pages',
  input_annotated_document_kpages: 'annotatedPages',
  input_text_messages_kcount: 'textMessages',
  input_mchars: 'characters',
  output_citation_mtok: 'citations',
}
