# Reads `goals`, then samples (ROUND WORKLOAD SIDE FIGURE VALUE), and prints what was reached: ratios within a round and
# their median; then the median of every figure.
/^#/ || NF == 0 { next }
FILENAME ~ /goals$/ { goals[++count] = $0; next }
{
    value[$1, $2, $3, $4] = $5
    if ($1 > rounds) rounds = $1
    name = $2 " " $3 " " $4
    if (!(name in seen)) { seen[name] = 1; names[++figures] = name }
}

function median(list, n,    i, j, swap) {
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && list[j] < list[j - 1]; j--) { swap = list[j]; list[j] = list[j - 1]; list[j - 1] = swap }
    return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}

function judge(operator, found, goal) {
    return (operator == ">=" ? found >= goal : found <= goal) ? "reached" : "MISSED"
}

END {
    print "| figure | goal | median | rounds | |\n|---|---|---|---|---|"
    for (g = 1; g <= count; g++) {
        split(goals[g], part)
        n = 0; shown = ""
        for (r = 1; r <= rounds; r++) {
            own = value[r, part[2], part[3], part[1]]
            other = part[4] == "." ? 1 : value[r, part[5], part[6], part[1]]
            if (own == "" || other == "") continue
            ratios[++n] = part[4] == "-" ? own - other : own / other
            shown = shown (n > 1 ? ", " : "") sprintf("%.2f", ratios[n])
        }
        if (n == 0) continue
        what = part[1] " of " part[2] " " part[3] (part[4] == "." ? "" : " " part[4] " " part[5] " " part[6])
        middle = median(ratios, n)
        printf "| %s | %s %s | %.2f | %s | %s |\n", what, part[7], part[8], middle, shown, judge(part[7], middle, part[8])
    }
    print "\n| sample | median | rounds |\n|---|---|---|"
    for (f = 1; f <= figures; f++) {
        split(names[f], part)
        n = 0; shown = ""
        for (r = 1; r <= rounds; r++) {
            found = value[r, part[1], part[2], part[3]]
            if (found == "") continue
            list[++n] = found + 0
            shown = shown (n > 1 ? ", " : "") list[n]
        }
        printf "| %s | %s | %s |\n", names[f], median(list, n), shown
    }
}
