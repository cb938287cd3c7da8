"""Keys and signatures: keystores, the signer process and its client, and clients of external signers."""
