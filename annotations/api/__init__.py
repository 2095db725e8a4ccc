"""The REST API: what the pages of this app do, for programs that show a token.

`operations` says what an operation is, `guard` what holds for each of them, and every other file
has those of one noun. `labelstudio_llm.api` puts them under their address.
"""
