"""Small changes that break the code for a user, made on purpose: does a test notice?"""
