# The worker is left alone: whoever needs its files after a failure needs them while it still runs, too.
find_myself
# What is uploaded would be in the counters of a second time.
[[ -s out/facts/after.tsv ]] || take_facts after
# The log of this step is still being written.
aws s3 cp --only-show-errors --recursive --exclude "logs/step_$STEP.log" \
    out "s3://$BUCKET/${PREFIX}hosts/$group-$index/"
